"""How exact are the engine's convolutions? Errors against float64, as a table in Markdown.

    python benchmarks/convolution_accuracy.py

For each shape: oneDNN's direct convolution, and Winograd's algorithm by our own kernels. Errors are
multiples of the root of the mean square of the results: the root of their mean square, and the
largest. Inputs and gradients are normal with variance 1, weights have He's variance.
"""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'src'))

import chainer_cifar  # noqa: F401 - lets Chainer import on a NumPy of today
from chainer_onednn import arrays, convolution, kernels, threads, winograd

# batch, channels in and out, height and width, filters' side
SHAPES = (
    (16, 64, 64, 32, 3),
    (32, 128, 128, 16, 3),
    (32, 256, 256, 8, 3),
    (64, 512, 512, 4, 3),
    (64, 16, 16, 32, 3),
    (32, 64, 64, 16, 5),
    (64, 64, 128, 8, 5),
)
DIRECTIONS = 'forward', 'gradient of the image', 'gradient of the weights'


def main():
    """Print the table."""
    print(f'| convolution | algorithm | {" | ".join(DIRECTIONS)} |\n|{" --- |" * 5}')
    for shape in SHAPES:
        n, inward, outward, size, side = shape
        geometry = convolution.Geometry(
            (n, inward, size, size),
            (n, outward, size, size),
            *((side, side), (1, 1), (side // 2, side // 2), (1, 1), 1),
        )
        given = _inputs(geometry)
        wanted = _exact(geometry, *given)
        name = f'{inward} → {outward}, {size}x{size}, {side}x{side} filters'
        for algorithm, run in (('direct', _direct), ('Winograd', _winograd)):
            if run is _winograd and not kernels.available():
                continue
            errors = map(_error, run(geometry, *given), wanted)
            print(f'| {name} | {algorithm} | {" | ".join(errors)} |', flush=True)
            name = ''


def _inputs(geometry):
    """``(x, w, gy)``."""
    rng = np.random.default_rng(0)
    x, gy = arrays.empty(geometry.x), arrays.empty(geometry.y)
    x[...] = rng.standard_normal(geometry.x, np.float32)
    gy[...] = rng.standard_normal(geometry.y, np.float32)
    w = rng.standard_normal(geometry.weight_shape, np.float32)
    return x, w * np.float32(np.sqrt(2 / w[0].size)), gy


def _direct(geometry, x, w, gy):
    y, gx, gw = arrays.empty(geometry.y), arrays.empty(geometry.x), np.empty_like(w)
    convolution._forward(geometry, False)(x, w, y)
    convolution._backward_data(geometry)(gy, w, gx)
    convolution._backward_weights(geometry, False)(x, gy, gw)
    return y, gx, gw


def _winograd(geometry, x, w, gy):
    y, gx, gw = arrays.empty(geometry.y), arrays.empty(geometry.x), np.empty_like(w)
    winograd._convolution(geometry, 'forward', False, threads.count())(x, w, y)
    winograd._convolution(geometry, 'data', False, threads.count())(gy, w, gx)
    winograd._gradient(geometry, threads.count())(x, gy, gw)
    return y, gx, gw


def _exact(geometry, x, w, gy):
    """In float64, tap by tap: a matrix product each."""
    pad = geometry.pad[0]
    height, width = geometry.y[2:]
    x, gy = (array.astype(np.float64).transpose(0, 2, 3, 1) for array in (x, gy))
    w = w.astype(np.float64)
    wide = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    y, gx, gw = np.zeros_like(gy), np.zeros_like(wide), np.zeros_like(w)
    for i, j in np.ndindex(*geometry.kernel):
        place = np.s_[:, i : i + height, j : j + width]
        y += wide[place] @ w[:, :, i, j].T
        gx[place] += gy @ w[:, :, i, j]
        gw[:, :, i, j] = np.tensordot(gy, wide[place], ([0, 1, 2], [0, 1, 2]))
    gx = gx[:, pad : pad + x.shape[1], pad : pad + x.shape[2]]
    return y.transpose(0, 3, 1, 2), gx.transpose(0, 3, 1, 2), gw


def _error(got, wanted):
    scale = np.sqrt(np.mean(wanted**2))
    difference = got - wanted
    return f'{np.sqrt(np.mean(difference**2)) / scale:.1e} / {np.abs(difference).max() / scale:.1e}'


if __name__ == '__main__':
    main()
