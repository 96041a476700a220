"""Operations that take every element by itself: our kernels, or oneDNN in blocks.

Without kernels each is one oneDNN primitive on a block of fixed size, called again and again: so
one block of zeros and the same few primitives serve arrays of every shape.
"""

import numpy as np

from chainer_onednn import arrays, dnnl, kernels

BLOCK = 2**19  # elements; smaller blocks cost more calls than the cache gives back

_zeros = np.zeros(BLOCK, np.float32)


def relu(x, y):
    """``y = max(x, 0)``; flat float32 arrays; NaN stays NaN, as in NumPy."""
    # With the zeros first: the instruction returns its second operand when one is NaN. oneDNN's
    # own ReLU turns NaN into 0, and a diverged run would look like a healthy one.
    _each('relu', _maximum, _zeros, x, y)


def relu_gradient(y, gy, gx):
    """``gx = gy * (y > 0)``, with NaN and inf of ``gy`` treated as NumPy does."""
    _each('relu_gradient', _masked, _zeros, y, gy, gx)


def add(a, b, y):
    """``y = a + b``."""
    _each('add', _sum, a, b, y)


def multiply(a, b, y):
    """``y = a * b``."""
    _each('multiply', _product, a, b, y)


def by_kernel(name, *arrays):
    """Call a kernel of elementwise.c: up to three arrays, and the one to write, of one order."""
    *sources, target = arrays
    sources += [None] * (3 - len(sources))
    kernels.function(name, 'ppppl')(*sources, target, target.size)


def _each(kernel, primitive, *flat):
    if kernels.available():
        by_kernel(kernel, *(array for array in flat if array is not _zeros))
    else:
        _blockwise(primitive, *flat)


def _blockwise(operation, *flat):
    size = flat[-1].size
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)
        operation(stop - start)(
            *(array if array is _zeros else array[start:stop] for array in flat)
        )


def flat(*same_shape):
    """Arrays of one shape and order of memory as vectors of their memory."""
    return [
        (array.transpose(0, 2, 3, 1) if array.ndim == 4 else array).reshape(-1)
        for array in same_shape
    ]


@dnnl.cached
def _maximum(size):
    return _binary(dnnl.BINARY_MAX, size)


@dnnl.cached
def _sum(size):
    return _binary(dnnl.BINARY_ADD, size)


@dnnl.cached
def _product(size):
    return _binary(dnnl.BINARY_MUL, size)


def _binary(kind, size):
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
def _masked(size):
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
