"""GELU, which Chainer lacks: the ReLU with a soft step."""

import math

import chainer
import numpy as np
from chainer import function_node
from chainer.backends import cuda
from chainer.utils import type_check
from scipy import special

_ROOT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)  # of the normal distribution at 0


class GELU(function_node.FunctionNode):
    """x times the normal distribution function of x, of float32 or float64 arrays of any shape."""

    cpu_kernel = 'gelu'  # chainer_onednn's of this function, where it is in use

    def check_type_forward(self, in_types):
        type_check.expect(in_types.size() == 1, in_types[0].dtype.kind == 'f')

    def forward_cpu(self, inputs):
        self.retain_inputs((0,))
        (x,) = inputs
        return (x * _distribution(x),)

    def forward_gpu(self, inputs):
        self.retain_inputs((0,))
        return (
            cuda.elementwise(
                'T x', 'T y', f'y = T(0.5) * x * (1 + erf(x * T({_ROOT_HALF})))', 'gelu'
            )(*inputs),
        )

    def backward(self, indexes, grad_outputs):
        return GELUGradient().apply((*self.get_retained_inputs(), *grad_outputs))


class GELUGradient(function_node.FunctionNode):
    """The gradient of x from x and that of `GELU`; it cannot be differentiated again."""

    cpu_kernel = 'gelu_gradient'

    def forward_cpu(self, inputs):
        x, gy = inputs
        slope = np.exp(-0.5 * x * x)
        slope *= x
        slope *= _DENSITY
        slope += _distribution(x)
        slope *= gy
        return (slope,)

    def forward_gpu(self, inputs):
        return (
            cuda.elementwise(
                'T x, T gy',
                'T gx',
                f'gx = gy * (T(0.5) * (1 + erf(x * T({_ROOT_HALF}))) '
                f'+ x * exp(T(-0.5) * x * x) * T({_DENSITY}))',
                'gelu_gradient',
            )(*inputs),
        )


def _distribution(x):
    """The normal distribution function of `x`, in its dtype."""
    y = special.erf(x * _ROOT_HALF)
    y += 1
    y *= 0.5
    return y


def gelu(x: chainer.Variable | np.ndarray) -> chainer.Variable:
    """``x * P(Z <= x)`` for a standard normal Z, exactly, not by tanh.

    Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.

    Args:
        x: float32 of any shape; so is the result.
    """
    return GELU().apply((x,))[0]
