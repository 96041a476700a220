"""Dropout, with the random numbers that Chainer's own takes from NumPy."""

import numpy as np
from chainer.functions.noise.dropout import Dropout, DropoutGrad

from chainer_onednn import arrays, elementwise
from chainer_onednn.replace import replaces

_BLOCK = 2**16  # elements; the random numbers of a block stay in the cache


@replaces(Dropout, 'forward_cpu')
def dropout(original, self, inputs):
    (x,) = inputs
    if not arrays.is_float32(x) or self.mask is not None:
        return original(self, inputs)
    mask = np.empty(x.shape, np.float32)
    flat = mask.reshape(-1)
    scale = np.float32(1.0 / (1 - self.dropout_ratio))
    for start in range(0, flat.size, _BLOCK):
        part = flat[start : start + _BLOCK]
        np.multiply(scale, np.random.rand(part.size) >= self.dropout_ratio, out=part)
    self.mask = arrays.ours(mask)
    return (_product(x, self.mask),)


@replaces(DropoutGrad, 'forward')
def dropout_gradient(original, self, inputs):
    (gy,) = inputs
    if not arrays.is_float32(gy, self.mask) or gy.shape != self.mask.shape:
        return original(self, inputs)
    return (_product(gy, self.mask),)


def _product(x, mask):
    y = arrays.empty(x.shape)
    elementwise.multiply(*elementwise.flat(arrays.ours(x), arrays.ours(mask), y))
    return y
