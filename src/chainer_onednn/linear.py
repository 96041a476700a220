"""Compute linear layers by oneDNN's matrix product."""

import ctypes

import numpy as np
from chainer.functions.connection.linear import LinearFunction, LinearGradData, LinearGradWeight

from chainer_onednn import arrays, dnnl
from chainer_onednn.hints import Array, Arrays, Original
from chainer_onednn.replace import replaces


@replaces(LinearFunction, 'forward')
def linear(original: Original, self: LinearFunction, inputs: Arrays) -> Arrays:
    x, w = inputs[:2]
    fits = x.ndim == w.ndim == 2 and x.shape[1] == w.shape[1]
    if not arrays.is_float32(*inputs) or not fits or any(b.shape != (len(w),) for b in inputs[2:]):
        return original(self, inputs)
    y = arrays.empty((len(x), len(w)))
    if len(inputs) == 3:
        y[...] = inputs[2]
    matmul(x, w.T, y, accumulate=len(inputs) == 3)
    self._config_use_ideep = 'never'
    self.retain_inputs((0, 1))
    return (y,)


@replaces(LinearGradData, 'forward')
def gradient_of_data(original: Original, self: LinearGradData, inputs: Arrays) -> Arrays:
    w, gy = inputs
    if not arrays.is_float32(*inputs) or gy.shape[1] != len(w):
        return original(self, inputs)
    gx = arrays.empty((len(gy), w.shape[1]))
    matmul(gy, w, gx)
    self._config_use_ideep = 'never'
    self.retain_inputs((0, 1))
    return (gx,)


@replaces(LinearGradWeight, 'forward')
def gradient_of_weight(original: Original, self: LinearGradWeight, inputs: Arrays) -> Arrays:
    x, gy = inputs
    if not arrays.is_float32(*inputs) or self._w_dtype != arrays.FLOAT32 or len(gy) != len(x):
        return original(self, inputs)
    gw = np.empty((gy.shape[1], x.shape[1]), np.float32)
    matmul(gy.T, x, gw)
    self._config_use_ideep = 'never'
    self.retain_inputs((0, 1))
    return (gw,)


def matmul(a: Array, b: Array, c: Array, accumulate: bool = False) -> None:
    """Compute ``c = a @ b``, or with `accumulate` ``c += a @ b``.

    Args:
        a: float32 ``(M, K)``; a transposed view costs nothing.
        b: float32 ``(K, N)``, likewise.
        c: float32 ``(M, N)``, C-contiguous.
    """
    (m, k), n = a.shape, b.shape[1]
    a, transpose_a, lead_a = _operand(a)
    b, transpose_b, lead_b = _operand(b)
    status = dnnl.onednn().handle.dnnl_sgemm(
        ctypes.c_char(transpose_a),
        ctypes.c_char(transpose_b),
        *map(ctypes.c_int64, (m, n, k)),
        ctypes.c_float(1),
        dnnl.pointer(a),
        ctypes.c_int64(lead_a),
        dnnl.pointer(b),
        ctypes.c_int64(lead_b),
        ctypes.c_float(1 if accumulate else 0),
        dnnl.pointer(c),
        ctypes.c_int64(n),
    )
    if status:
        raise dnnl.Unsupported('sgemm')


def _operand(matrix: Array) -> tuple[Array, bytes, int]:
    """Return the matrix or a copy, whether its memory holds the transpose, and the row length."""
    for transpose, seen in ((b'N', matrix), (b'T', matrix.T)):
        columns = seen.shape[1]
        step = seen.strides[0] // 4
        if seen.strides[1] == 4 and seen.strides[0] % 4 == 0 and step >= columns:
            return matrix, transpose, step
    return np.ascontiguousarray(matrix), b'N', matrix.shape[1]
