"""Convolutions of stride 1 by our own Winograd kernels (kernels/winograd.c), where they pay.

A number that is not finite spreads to the outputs of all tiles that read it: up to three pixels
further than in direct convolution, never less far; infinity may become NaN. Numbers above 1e35 or
so may overflow in the transforms where direct convolution would not.
"""

import collections
import functools
import math
import os
import threading

import chainer
import numpy as np

from chainer_onednn import dnnl, kernels, threads

VARIABLE = 'CHAINER_ONEDNN_WINOGRAD'  # 0: oneDNN's direct convolution everywhere

# The fields of `problem` in winograd.c
_GIVEN = 12
_BYTES = _GIVEN
_PLANNED = 6

_KEPT = 128 << 20  # bytes of transformed filters, at most

_wanted = True
_kept = collections.OrderedDict()  # (address, shape) of filters -> (copy of them, transformed)
_lock = threading.Lock()


def want(wanted):
    """Choose whether Winograd's algorithm may be used from now on."""
    global _wanted
    _wanted = wanted


def forward(geometry, bias):
    """As `convolution._forward`: ``run(x, w, [b,] y)``; None where direct convolution is better."""
    if not is_on() or not suits(geometry, 'forward'):
        return None
    return _convolution(geometry, False, threads.count())


def backward_data(geometry):
    """As `convolution._backward_data`: ``run(gy, w, gx)``, or None."""
    if not is_on() or not suits(geometry, 'data'):
        return None
    return _convolution(geometry, True, threads.count())


def backward_weights(geometry):
    """As `convolution._backward_weights`: ``run(x, gy, gw, [gb])``, or None."""
    if not is_on() or not suits(geometry, 'weights'):
        return None
    return _gradient(geometry, threads.count())


def is_on():
    """May Winograd's algorithm be used just now?"""
    return _wanted and os.environ.get(VARIABLE) != '0' and kernels.available()


def suits(geometry, direction):
    """Is Winograd's algorithm faster than the direct one for this convolution?"""
    if (
        geometry.kernel not in ((3, 3), (5, 5))
        or geometry.groups != 1
        or geometry.stride != (1, 1)
        or geometry.dilate != (1, 1)
    ):
        return False
    tiles = geometry.y[0] * math.ceil(geometry.y[2] / 4) * math.ceil(geometry.y[3] / 4)
    return min(geometry.x[1], geometry.y[1]) >= 16 and tiles >= 32


@dnnl.cached
def _convolution(geometry, data, count):
    name = f'_{geometry.kernel[0]}'
    problem = _problem(geometry, data, count)
    kernels.function('winograd_plan' + name, 'p')(problem)
    ins, outs = int(problem[3]), int(problem[6])
    u_bytes = 4 * kernels.function('winograd_filter_size' + name, 'll', 'l')(ins, outs)
    nbytes = u_bytes + int(problem[_BYTES])
    convolve = kernels.function('winograd_convolve' + name, 'pppipppp')

    def run(image, w, *rest):
        bias, result = rest if len(rest) == 2 else (None, *rest)
        scratch = dnnl.scratch(nbytes)
        # Filters that are trained change before they are used again.
        if data or chainer.config.enable_backprop or u_bytes > _KEPT:
            convolve(problem, image, w, data, scratch, bias, result, scratch[u_bytes:])
            return
        u, known = _transformed(w, u_bytes)
        convolve(problem, image, None if known else w, 0, u, bias, result, scratch[u_bytes:])
        if not known:
            _keep(w, u)

    return run


def _transformed(w, nbytes):
    """Memory for the transformed filters, and whether they are in it."""
    with _lock:
        copy, u = _kept.get(_name(w), (None, None))
    if copy is not None and kernels.function('same_numbers', 'ppl', 'i')(copy, w, w.size):
        return u, True
    return dnnl.aligned_empty(nbytes), False


def _keep(w, u):
    with _lock:
        _kept[_name(w)] = w.copy(), u
        _kept.move_to_end(_name(w))
        while sum(u.nbytes for _, u in _kept.values()) > _KEPT:
            _kept.popitem(last=False)


def _name(w):
    return dnnl.address(w), w.shape


@dnnl.cached
def _gradient(geometry, count):
    name = f'_{geometry.kernel[0]}'
    problem = _problem(geometry, False, count)
    kernels.function('winograd_gradient_plan' + name, 'p')(problem)
    nbytes = int(problem[_BYTES])
    gradient = kernels.function('winograd_gradient' + name, 'pppppp')

    def run(x, gy, gw, gb=None):
        gradient(problem, x, gy, gw, gb, dnnl.scratch(nbytes))

    return run


def _problem(geometry, data, count):
    x, y, pad = geometry.x, geometry.y, geometry.pad
    if data:
        x, y = y, x
        pad = tuple(size - 1 - p for size, p in zip(geometry.kernel, pad, strict=True))
    given = [x[0], x[2], x[3], x[1], y[2], y[3], y[1], *pad, count, *_caches()]
    return np.array(given + [0] * _PLANNED, np.int64)


@functools.cache
def _caches():
    """Bytes of a core's own cache and of the last one."""
    size = kernels.function('winograd_cache', 'i', 'l')
    return min(max(size(2) or 1 << 20, 1 << 18), 1 << 21), size(3) or 1 << 25
