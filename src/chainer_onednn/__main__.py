"""``python -m chainer_onednn``: what was found, and a self-test of some seconds with rates."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import chainer
import chainer.functions as F
import numpy as np

import chainer_onednn
from chainer_onednn import dnnl, kernels, library, threads
from chainer_onednn.hints import Arrays, Shape

# name, function of (x, w), shape of x, shape of w, arithmetic of one forward pass
_CASES = (
    (
        'convolution 3x3, 64 to 64 channels, 32x32',
        lambda x, w: F.convolution_2d(x, w, pad=1),
        (32, 64, 32, 32),
        (64, 64, 3, 3),
        2 * 32 * 32 * 32 * 64 * 64 * 9,
    ),
    (
        'convolution 3x3, 256 to 256 channels, 8x8',
        lambda x, w: F.convolution_2d(x, w, pad=1),
        (32, 256, 8, 8),
        (256, 256, 3, 3),
        2 * 32 * 8 * 8 * 256 * 256 * 9,
    ),
    ('linear, 4096 to 1024', F.linear, (128, 4096), (1024, 4096), 2 * 128 * 4096 * 1024),
    (
        'batch normalization, ReLU, max pooling',
        lambda x, w: F.max_pooling_2d(F.relu(F.batch_normalization(x, w, w)), 2),
        (32, 64, 32, 32),
        (64,),
        None,
    ),
)


def main() -> int:
    """Print what there is and whether it works; return the exit status."""
    try:
        found = dnnl.onednn()
    except library.Unavailable as reason:
        print(f'oneDNN cannot be used: {reason}')
        return 1
    version = library.version_text(found.handle)
    print(f'oneDNN {version}, {library.instruction_set(found.handle)}, {threads.described()}')
    print(f'library  {found.path}')
    print(f'kernels  {kernels.describe()}')
    print(f'chainer  {chainer.__version__}, numpy {np.__version__}')
    print(
        f'{"forward and backward, float32":42} {"ours":>9} {"no kernels":>10} {"Chainer":>9}  '
        f'{"":10} difference',
        flush=True,
    )
    without = _times_without_kernels() if kernels.available() else {}
    wrong = False
    for name, function, x_shape, w_shape, arithmetic in _CASES:
        with chainer_onednn.enable():
            ours, gradients = _run(function, x_shape, w_shape)
        theirs, expected = _run(function, x_shape, w_shape)
        difference = max(
            np.abs(got - want).max() / np.abs(want).max()
            for got, want in zip(gradients, expected, strict=True)
        )
        wrong |= bool(not difference < 1e-3)
        rate = f'{3 * arithmetic / ours / 1e9:.0f} GFLOP/s' if arithmetic else ''
        direct = f'{1000 * without[name]:7.1f} ms' if name in without else f'{"":10}'
        print(
            f'{name:42} {1000 * ours:6.1f} ms {direct} {1000 * theirs:6.1f} ms  {rate:10} '
            f'{difference:.0e}' + ('' if difference < 1e-3 else '  WRONG'),
            flush=True,
        )
    print('the self-test failed' if wrong else 'the self-test passed')
    return int(wrong)


def _times_without_kernels() -> dict[str, float]:
    """Name of each case -> its time, from a process that does without; {} if that fails."""
    program = 'from chainer_onednn import __main__; __main__.print_times()'
    here = [path or os.curdir for path in sys.path]  # so that it finds what this one found
    environment = {**os.environ, kernels.VARIABLE: '0', 'PYTHONPATH': os.pathsep.join(here)}
    done = subprocess.run([sys.executable, '-c', program], env=environment, capture_output=True)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def print_times() -> None:
    """Print the engine's time of each case, as JSON."""
    with chainer_onednn.enable():
        times = {name: _run(function, x, w)[0] for name, function, x, w, _ in _CASES}
    print(json.dumps(times))


def _run(
    function: Callable[..., chainer.Variable], x_shape: Shape, w_shape: Shape, seconds: float = 0.6
) -> tuple[float, Arrays]:
    """Best time of forward and backward in seconds, and output and gradients."""
    rng = np.random.RandomState(0)
    x = chainer.Variable(rng.standard_normal(x_shape).astype(np.float32))
    w = chainer.Variable(rng.standard_normal(w_shape).astype(np.float32))
    best, end = np.inf, time.perf_counter() + seconds
    while best == np.inf or time.perf_counter() < end:
        start = time.perf_counter()
        y = function(x, w)
        y.grad = np.ones_like(y.array)
        x.cleargrad()
        w.cleargrad()
        y.backward()
        best = min(best, time.perf_counter() - start)
    return best, (y.array, x.grad, w.grad)


if __name__ == '__main__':
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # as of `| head`: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)
