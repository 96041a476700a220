"""Make channels-last arrays: ordinary ``(N, C, H, W)`` ndarrays in memory as ``(N, H, W, C)``.

The order in memory does not matter to NumPy and Chainer, but oneDNN's speed depends on it.
"""

import math

import numpy as np

from chainer_onednn import dnnl
from chainer_onednn.hints import Array, Shape

FLOAT32 = np.dtype(np.float32)


def is_float32(*arrays: object) -> bool:
    """Say whether all are plain, non-empty float32 ndarrays."""
    return all(
        type(array) is np.ndarray and array.dtype == FLOAT32 and array.size for array in arrays
    )


def empty(shape: Shape) -> Array:
    """Make an uninitialised float32 array, channels-last if it has four dimensions."""
    block = dnnl.aligned_empty(4 * math.prod(shape))
    if len(shape) != 4:
        return np.ndarray(shape, FLOAT32, block)
    _, c, h, w = shape
    return np.ndarray(shape, FLOAT32, block, 0, (4 * h * w * c, 4, 4 * w * c, 4 * c))


def layout(shape: Shape) -> dnnl.Layout:
    """Describe to oneDNN what `empty` returns."""
    if len(shape) != 4:
        return plain_layout(shape)
    _, c, h, w = shape
    return dnnl.Layout(shape, (h * w * c, 1, w * c, c))


def plain_layout(shape: Shape) -> dnnl.Layout:
    """Describe to oneDNN a C-contiguous array."""
    return dnnl.Layout(shape, [math.prod(shape[i + 1 :]) for i in range(len(shape))])


def is_ours(array: Array) -> bool:
    """Say whether its memory has the order of `empty`."""
    if array.ndim == 4:
        array = array.transpose(0, 2, 3, 1)
    return array.flags.c_contiguous


def ours(array: Array) -> Array:
    """Return the array, or a copy of it in the order of `empty`."""
    if is_ours(array):
        return array
    copy = empty(array.shape)
    copy_to(array, copy)
    return copy


def copy_to(source: Array, target: Array) -> None:
    """Do ``target[...] = source``, in parallel if oneDNN can."""
    steps = _steps(source), _steps(target)
    if source.size > 4096 and None not in steps:
        try:
            _copier(source.shape, *steps)(source, target)
            return
        except dnnl.Unsupported:
            pass
    np.copyto(target, source)


def _steps(array: Array) -> Shape | None:
    """Return the strides in elements, or None if oneDNN cannot take them."""
    if any(stride <= 0 or stride % 4 for stride in array.strides):
        return None
    return tuple(stride // 4 for stride in array.strides)


@dnnl.cached
def _copier(shape: Shape, source: Shape, target: Shape) -> dnnl.Primitive:
    return dnnl.reorder(dnnl.Layout(shape, source), dnnl.Layout(shape, target))
