"""Compute convolutions by Winograd's algorithm, in our own kernels, if that is faster.

The kernels (kernels/winograd.c) are for filters of 3x3 and 5x5, steps of 1, no groups, any padding
and size, and enough tiles and channels; `forward`, `backward_data` and `backward_weights` return
None for all else. Rounding errors are up to twice those of direct convolution for 3x3 filters (from
256 channels on, smaller), four times for 5x5; see benchmarks/convolution_accuracy.py. They are
relative to the largest number that a tile of outputs sees.

Where a number that is not finite is in the input or in the weights, all that direct convolution
makes NaN or infinity of it is not finite here, too. More is: outputs are computed in tiles of 4x4,
so where one becomes not finite, all of its tile may, up to three pixels farther than the filters
reach; a weight may spoil all pixels of its output channel (in the gradient of the image, of its
input channel), also where it meets padding only; in the gradient of the weights, all of a filter is
spoiled where one number is; and infinity may become NaN.
"""

import functools
import math
import os
import threading

import numpy as np

from chainer_onednn import dnnl, kernels, threads
from chainer_onednn.hints import Array, Run, Shape
from chainer_onednn.windows import Geometry

VARIABLE = 'CHAINER_ONEDNN_WINOGRAD'  # 0: direct convolution everywhere
TILE = 4  # outputs on a side

_PLANNED = 6  # fields of `problem` in winograd.c that its `plan` fills in: the last
_BYTES, _PARTS = 12, 16  # two of these

_allowed = True


def allow(wanted: bool) -> bool:
    """Allow Winograd's algorithm, unless the environment forbids it, or forbid it.

    Returns:
        Whether it was allowed before.
    """
    global _allowed
    before = _allowed
    _allowed = wanted and os.environ.get(VARIABLE) != '0'
    return before


def is_allowed() -> bool:
    """Say whether `allow` has allowed it."""
    return _allowed


def forward(geometry: Geometry, keep: bool) -> Run | None:
    """Make ``run(x, w, [bias,] y)``, as `convolution._forward`; None if that one is better.

    If ``run.measures`` is true, it also takes ``moments=(mean, var)`` and fills them with those of
    y's channels. That costs little, and saves a batch normalization behind it a pass over y.

    Args:
        geometry: The convolution.
        keep: Keep the transformed weights, for nets that do not train at the moment.
    """
    if not keep:
        _kept.forget()  # training needs the memory
    return _chosen(geometry, 'forward', keep)


def backward_data(geometry: Geometry) -> Run | None:
    """Make ``run(gy, w, gx)``, as `convolution._backward_data`, or return None."""
    return _chosen(geometry, 'data')


def backward_weights(geometry: Geometry) -> Run | None:
    """Make ``run(x, gy, gw, [gb])``, as `convolution._backward_weights`, or return None."""
    return _chosen(geometry, 'weights')


def _chosen(geometry: Geometry, direction: str, keep: bool = False) -> Run | None:
    count = threads.count()
    if not (_allowed and kernels.available() and suits(geometry, direction, count)):
        return None
    if direction == 'weights':
        return _gradient(geometry, count)
    return _convolution(geometry, direction, keep, count)


def suits(geometry: Geometry, direction: str, count: int) -> bool:
    """Judge by these arguments whether Winograd's algorithm is faster than the direct one.

    Args:
        geometry: The convolution.
        direction: ``forward``, ``data`` or ``weights``.
        count: Number of threads.
    """
    return (
        geometry.kernel in ((3, 3), (5, 5))
        and geometry.groups == 1
        and geometry.stride == (1, 1)
        and geometry.dilate == (1, 1)
        and _pays(geometry, direction, count)
    )


def _pays(geometry: Geometry, direction: str, count: int) -> bool:
    # Measured with AVX2 and with AVX-512; where it says yes, the gain is mostly 1.2 and more.
    n, _, *size = geometry.x if direction == 'data' else geometry.y
    channels = geometry.x[1], geometry.y[1]
    tiles = n * math.prod(math.ceil(s / TILE) for s in size)
    used = n * math.prod(size) / TILE**2  # that many tiles, if all were used to the edge
    # With wide 3x3 filters, oneDNN is so slow on images of 2x2 that a quarter of a tile pays.
    wide = math.prod(channels) > 256**2 or direction == 'weights'
    if used < tiles * (1 / 4 if wide and geometry.kernel == (3, 3) else 1 / 2):
        return False
    # Transforming the weights takes as long as so many tiles.
    least = 8 + math.sqrt(math.prod(channels)) / 16
    if direction == 'weights':
        least /= 2
    narrow = min(channels) < (16 if direction == 'weights' else 8)
    return not narrow and max(used, tiles / 2) >= max(least, 4 * count)


@dnnl.cached
def _convolution(geometry: Geometry, direction: str, keep: bool, count: int) -> Run:
    data = direction == 'data'
    problem, suffix = _problem(geometry, data, count), f'_{geometry.kernel[0]}'
    kernels.function('winograd_plan' + suffix, 'p')(problem)
    ins, outs = int(problem[3]), int(problem[6])
    u_size = 4 * kernels.function('winograd_filter_size' + suffix, 'll', 'l')(ins, outs)
    work_size = int(problem[_BYTES])
    convolve = kernels.function('winograd_convolve' + suffix, 'pppippippppp')

    def run(
        image: Array,
        w: Array,
        *rest: Array | None,
        moments: tuple[Array | None, Array | None] = (None, None),
    ) -> None:
        bias, result = rest if len(rest) == 2 else (None, *rest)
        entry = _kept.find(w, u_size) if keep else None
        if entry is None:
            u = dnnl.scratch(u_size + work_size)
            work = u[u_size:]
            convolve(problem, image, w, data, u, None, False, bias, result, *moments, work)
            return
        work = dnnl.scratch(work_size)
        kept = entry.u, entry.w, entry.stale
        convolve(problem, image, w, data, *kept, bias, result, *moments, work)
        entry.stale = False

    run.measures = problem[_PARTS] == 1  # type: ignore[attr-defined]  # functions take any
    return run


@dnnl.cached
def _gradient(geometry: Geometry, count: int) -> Run:
    problem, suffix = _problem(geometry, False, count), f'_{geometry.kernel[0]}'
    kernels.function('winograd_gradient_plan' + suffix, 'p')(problem)
    work_size = int(problem[_BYTES])
    gradient = kernels.function('winograd_gradient' + suffix, 'pppppp')

    def run(x: Array, gy: Array, gw: Array, gb: Array | None = None) -> None:
        gradient(problem, x, gy, gw, gb, dnnl.scratch(work_size))

    return run


def _problem(geometry: Geometry, data: bool, count: int) -> Array:
    x, y, pad = geometry.x, geometry.y, geometry.pad
    if data:  # a convolution of gy with the filters turned by half a turn
        x, y = y, x
        pad = tuple(size - 1 - p for size, p in zip(geometry.kernel, pad, strict=True))
    given = [x[0], x[2], x[3], x[1], y[2], y[3], y[1], *pad, count, *_caches()]
    return np.array(given + [0] * _PLANNED, np.int64)


@functools.cache
def _caches() -> tuple[int, int]:
    """Bytes of a core's own cache, and of the last one."""
    size = kernels.function('winograd_cache', 'i', 'l')
    return min(max(size(2) or 1 << 20, 1 << 18), 1 << 21), size(3) or 1 << 25


class _Entry:
    def __init__(self, w: Array, u_size: int) -> None:
        self.u, self.w = dnnl.aligned_empty(u_size), np.empty_like(w)
        self.nbytes = u_size + w.nbytes
        self.stale = True  # nothing is in them yet
        self.last_use = 0


class _Kept(threading.local):
    """Transformed weights ``u`` of nets that are not trained, with copies of the weights.

    The kernel compares weights and copy, so that changes in place are seen. For each thread, since
    the kernel may write to both; and bounded.
    """

    LIMIT = 256 << 20  # bytes
    LONG_AGO = 1000  # calls: what was not used since then gives way

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        # By address and shape of the weights.
        self._entries: dict[tuple[int, Shape], _Entry] = {}
        self._size = self._time = 0

    def forget(self) -> None:
        if self._entries:
            self._clear()

    def find(self, w: Array, u_size: int) -> _Entry | None:
        """The entry for these weights; None if there is no room."""
        key = dnnl.address(w), w.shape
        self._time += 1
        if key not in self._entries:
            if self._size + u_size + w.nbytes > self.LIMIT:
                self._forget_old()
            if self._size + u_size + w.nbytes > self.LIMIT:
                return None
            self._entries[key] = _Entry(w, u_size)
            self._size += self._entries[key].nbytes
        self._entries[key].last_use = self._time
        return self._entries[key]

    def _forget_old(self) -> None:
        for key, entry in list(self._entries.items()):
            if entry.last_use < self._time - self.LONG_AGO:
                del self._entries[key]
                self._size -= entry.nbytes


_kept = _Kept()
