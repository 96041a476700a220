"""Rounding errors of the engine's convolutions against float64: a table in Markdown.

    python benchmarks/convolution_accuracy.py

Images and gradients of the output are drawn from the normal distribution, filters with He's scale.
Each cell is the root mean square of the errors and the largest one, relative to the root mean
square of the right numbers.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'src'))

import chainer_onednn  # isort: skip - lets Chainer import

import chainer  # isort: skip
import chainer.functions as F  # isort: skip
import numpy as np  # isort: skip

# images, channels in and out, size, filter
CASES = (
    (64, 16, 16, 32, 3),
    (16, 64, 64, 32, 3),
    (16, 256, 256, 8, 3),
    (64, 512, 512, 4, 3),
    (32, 64, 64, 16, 5),
    (32, 64, 128, 8, 5),
)


def main():
    header = ('channels, image, filter', 'algorithm', 'forward', 'gradient of data', 'of weights')
    print('| ' + ' | '.join(header) + ' |')
    print('| ' + ' | '.join(['---'] * len(header)) + ' |')
    for case in CASES:
        given = draw(*case)
        exact = convolve(*given, np.float64)
        for algorithm in ('direct', 'Winograd'):
            with chainer_onednn.enable(winograd=algorithm == 'Winograd'):
                got = convolve(*given, np.float32)
            cells = [error(*pair) for pair in zip(got, exact, strict=True)]
            _, inward, outward, size, kernel = case
            what = f'{inward} to {outward}, {size}x{size}, {kernel}x{kernel}'
            print('| ' + ' | '.join((what, algorithm, *cells)) + ' |')


def draw(n, inward, outward, size, kernel):
    rng = np.random.RandomState(0)
    x = rng.standard_normal((n, inward, size, size))
    w = rng.standard_normal((outward, inward, kernel, kernel))
    w *= np.sqrt(2 / (inward * kernel * kernel))
    gy = rng.standard_normal((n, outward, size, size))
    return [array.astype(np.float32) for array in (x, w, gy)]


def convolve(x, w, gy, dtype):
    """Output, and the gradients of image and filters."""
    x, w = (chainer.Variable(array.astype(dtype)) for array in (x, w))
    y = F.convolution_2d(x, w, pad=w.shape[2] // 2)
    y.grad = gy.astype(dtype)
    y.backward()
    return y.array, x.grad, w.grad


def error(got, exact):
    errors, scale = got - exact, np.sqrt((exact**2).mean())
    return f'{np.sqrt((errors**2).mean()) / scale:.1e} / {np.abs(errors).max() / scale:.1e}'


if __name__ == '__main__':
    main()
