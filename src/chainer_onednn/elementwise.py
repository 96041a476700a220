"""Operations that take every element by itself: our kernels, or oneDNN in blocks.

Without kernels each is one oneDNN primitive on a block of fixed size, called again and again: so
one block of zeros and the same few primitives serve arrays of every shape.
"""

from collections.abc import Callable

import numpy as np

from chainer_onednn import arrays, dnnl, kernels
from chainer_onednn.hints import Array

BLOCK = 2**19  # elements; smaller blocks cost more calls than the cache gives back

_zeros = np.zeros(BLOCK, np.float32)


def relu(x: Array, y: Array) -> None:
    """``y = max(x, 0)``; flat float32 arrays; NaN stays NaN, as in NumPy."""
    # With the zeros first: the instruction returns its second operand when one is NaN. oneDNN's
    # own ReLU turns NaN into 0, and a diverged run would look like a healthy one.
    _each('relu', _maximum, _zeros, x, y)


def relu_gradient(y: Array, gy: Array, gx: Array) -> None:
    """``gx = gy * (y > 0)``, with NaN and inf of ``gy`` treated as NumPy does."""
    _each('relu_gradient', _masked, _zeros, y, gy, gx)


def add(a: Array, b: Array, y: Array) -> None:
    """``y = a + b``."""
    _each('add', _sum, a, b, y)


def multiply(a: Array, b: Array, y: Array) -> None:
    """``y = a * b``."""
    _each('multiply', _product, a, b, y)


def by_kernel(name: str, *arrays: Array) -> None:
    """Call a kernel of elementwise.c: up to three arrays, and the one to write, of one order."""
    *sources, target = arrays
    unused = [None] * (3 - len(sources))
    kernels.function(name, 'ppppl')(*sources, *unused, target, target.size)


def _each(kernel: str, primitive: Callable[[int], dnnl.Primitive], *flat: Array) -> None:
    if kernels.available():
        by_kernel(kernel, *(array for array in flat if array is not _zeros))
    else:
        _blockwise(primitive, *flat)


def _blockwise(operation: Callable[[int], dnnl.Primitive], *flat: Array) -> None:
    size = flat[-1].size
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        operation(stop - start)(
            *(array if array is _zeros else array[start:stop] for array in flat)
        )


def flat(*same_shape: Array) -> list[Array]:
    """Arrays of one shape and order of memory as vectors of their memory."""
    return [
        (array.transpose(0, 2, 3, 1) if array.ndim == 4 else array).reshape(-1)
        for array in same_shape
    ]


@dnnl.cached
def _maximum(size: int) -> dnnl.Primitive:
    return _binary(dnnl.BINARY_MAX, size)


@dnnl.cached
def _sum(size: int) -> dnnl.Primitive:
    return _binary(dnnl.BINARY_ADD, size)


@dnnl.cached
def _product(size: int) -> dnnl.Primitive:
    return _binary(dnnl.BINARY_MUL, size)


def _binary(kind: int, size: int) -> dnnl.Primitive:
    vector = arrays.layout((size,))
    return dnnl.Primitive(
        'binary',
        kind,
        vector,
        vector,
        vector,
        layouts={dnnl.SRC: vector, dnnl.SRC_1: vector, dnnl.DST: vector},
    )


@dnnl.cached
def _masked(size: int) -> dnnl.Primitive:
    # (0 < y ? 1 : 0) * gy; its opposite, y > 0, is true of NaN for oneDNN
    vector = arrays.layout((size,))
    return dnnl.Primitive(
        'binary',
        dnnl.BINARY_LT,
        vector,
        vector,
        vector,
        layouts={
            dnnl.SRC: vector,
            dnnl.SRC_1: vector,
            dnnl.POST_OP_SRC_1: vector,
            dnnl.DST: vector,
        },
        attributes=dnnl.post_op('binary', dnnl.BINARY_MUL, vector),
    )
