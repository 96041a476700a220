"""Dropout, with the random numbers that Chainer's own takes from NumPy."""

import ctypes
import functools
import math
from typing import Any

import numpy as np
from chainer.functions.noise.dropout import Dropout, DropoutGrad

from chainer_onednn import arrays, elementwise, kernels
from chainer_onednn.hints import Array, Arrays, Original
from chainer_onednn.replace import replaces

_BLOCK = 2**16  # elements; the random numbers of a block stay in the cache
_WORDS = 624  # of a Mersenne Twister's state


@replaces(Dropout, 'forward_cpu')
def dropout(original: Original, self: Dropout, inputs: Arrays) -> Arrays:
    (x,) = inputs
    if not arrays.is_float32(x) or self.mask is not None:
        return original(self, inputs)
    generator = _twister()
    if generator is None:
        return _by_numpy(self, x)
    x, y, self.mask = arrays.ours(x), arrays.empty(x.shape), arrays.empty(x.shape)
    _by_kernel(generator, x, self.dropout_ratio, y, self.mask)
    return (y,)


@replaces(DropoutGrad, 'forward')
def dropout_gradient(original: Original, self: DropoutGrad, inputs: Arrays) -> Arrays:
    (gy,) = inputs
    if not arrays.is_float32(gy, self.mask) or gy.shape != self.mask.shape:
        return original(self, inputs)
    return (_product(gy, self.mask),)


def _by_numpy(self: Any, x: Array) -> Arrays:
    mask = np.empty(x.shape, np.float32)
    flat = mask.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        part = flat[start : start + _BLOCK]
        np.multiply(
            _scale(self.dropout_ratio), np.random.rand(part.size) >= self.dropout_ratio, out=part
        )
    self.mask = arrays.ours(mask)
    return (_product(x, self.mask),)


def _by_kernel(generator: Any, x: Array, ratio: float, y: Array, mask: Array) -> None:
    n, c, h, w = x.shape if x.ndim == 4 else (1, 1, 1, x.size)
    bits = np.empty(x.size // 8 + 128, np.uint8)
    # NumPy's numbers are k / 2**53; the product is exact, so this is `number >= ratio`.
    threshold = math.ceil(ratio * 2**53)
    with generator.lock:
        kernels.function('dropout', 'pppppllllf')(
            _state(generator), x, y, mask, bits, n, c, h * w, threshold, _scale(ratio)
        )


def _scale(ratio: float) -> np.float32:
    return np.float32(1.0 / (1 - ratio))


def _twister() -> Any:
    """What NumPy's global functions draw from, if our kernel can; else None."""
    if not (kernels.available() and _state_is_known()):
        return None
    # A user may have replaced the function, or the generator behind it.
    generator = getattr(getattr(np.random.rand, '__self__', None), '_bit_generator', None)
    return generator if type(generator) is np.random.MT19937 else None


def _state(generator: Any) -> Array:
    """Its memory: 624 words and the place of the next, uint32 ``(625,)``."""
    memory: Any = (ctypes.c_uint32 * (_WORDS + 1)).from_address(generator.ctypes.state_address)
    return np.frombuffer(memory, np.uint32)


@functools.cache
def _state_is_known() -> bool:
    """Does NumPy keep the state as our kernel expects it? Nothing promises so."""
    try:
        generator = np.random.MT19937(0)
        np.random.RandomState(generator).rand(5)
        told = generator.state['state']
        found = _state(generator)
        return int(found[_WORDS]) == told['pos'] and (found[:_WORDS] == told['key']).all()
    except (AttributeError, KeyError, TypeError):
        return False


def _product(x: Array, mask: Array) -> Array:
    y = arrays.empty(x.shape)
    elementwise.multiply(*elementwise.flat(arrays.ours(x), arrays.ours(mask), y))
    return y
