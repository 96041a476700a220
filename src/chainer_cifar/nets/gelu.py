"""GELU, which Chainer lacks: the ReLU with a soft step."""

import math

import chainer
import numpy as np
import scipy
from chainer import function_node
from chainer.backends import cuda
from chainer.utils import type_check

from chainer_cifar.arrays import Array

_ROOT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)  # of the normal distribution at 0


class GELU(function_node.FunctionNode):
    """Multiply x, of floats and of any shape, by the normal distribution function of x."""

    cpu_kernel = 'gelu'  # chainer_onednn's of this function, where it is in use

    def check_type_forward(self, in_types: type_check.TypeInfoTuple) -> None:
        type_check.expect(in_types.size() == 1, in_types[0].dtype.kind == 'f')

    def forward_cpu(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        self.retain_inputs((0,))
        (x,) = inputs
        return (x * _distribution(x),)

    def forward_gpu(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        self.retain_inputs((0,))
        return (
            cuda.elementwise(
                'T x', 'T y', f'y = T(0.5) * x * (1 + erf(x * T({_ROOT_HALF})))', 'gelu'
            )(*inputs),
        )

    def backward(
        self, indexes: tuple[int, ...], grad_outputs: tuple[chainer.Variable, ...]
    ) -> tuple[chainer.Variable, ...]:
        return GELUGradient().apply((*self.get_retained_inputs(), *grad_outputs))


class GELUGradient(function_node.FunctionNode):
    """Compute the gradient of x from x and that of `GELU`; it cannot be differentiated again."""

    cpu_kernel = 'gelu_gradient'

    def forward_cpu(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x, gy = inputs
        slope = np.exp(-0.5 * x * x)
        slope *= x
        slope *= _DENSITY
        slope += _distribution(x)
        slope *= gy
        return (slope,)

    def forward_gpu(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        return (
            cuda.elementwise(
                'T x, T gy',
                'T gx',
                f'gx = gy * (T(0.5) * (1 + erf(x * T({_ROOT_HALF}))) '
                f'+ x * exp(T(-0.5) * x * x) * T({_DENSITY}))',
                'gelu_gradient',
            )(*inputs),
        )


def _distribution(x: Array) -> Array:
    """Compute the normal distribution function of `x`, in its dtype."""
    y: Array = scipy.special.erf(x * _ROOT_HALF).astype(x.dtype, copy=False)  # float32 of float16
    y += 1
    y *= 0.5
    return y


def gelu(x: chainer.Variable) -> chainer.Variable:
    """Compute ``x * P(Z <= x)`` for a standard normal Z, exactly, not by tanh.

    Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.

    Args:
        x: float32 of any shape; so is the result.
    """
    return GELU().apply((x,))[0]
