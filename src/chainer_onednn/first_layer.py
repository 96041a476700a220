"""Compute the gradients of the first layer's weights, where images have few channels."""

import functools
from collections.abc import Callable

from chainer_onednn import dnnl, kernels
from chainer_onednn.hints import Array, Run, Shape
from chainer_onednn.windows import Geometry

_LANES = 16  # floats in the widest vector


def fits(geometry: Geometry) -> bool:
    """Say whether there is a kernel: for stride 1, up to 4 channels in and a multiple of 16 out."""
    return (
        kernels.available()
        and geometry.groups == 1
        and geometry.stride == geometry.dilate == (1, 1)
        and geometry.x[1] <= 4
        and geometry.y[1] % _LANES == 0
        and max(geometry.kernel) <= 7
    )


def backward_weights(geometry: Geometry) -> Run:
    """Make the function that computes the gradients of weights and bias.

    Returns:
        ``run(x, gy, gw, gb=None)``, which takes images and gradients of the output, channels-last,
        and writes the gradients of weights and bias.
    """
    n, channels, height, width = geometry.x
    _, filters, *out = geometry.y
    numbers = n, channels, height, width, filters, *out, *geometry.kernel, *geometry.pad
    kernel = kernels.function('first_layer_weights', 'p' * 5 + 'l' * 11)
    scratch = kernels.function('first_layer_scratch', 'l' * 6, 'l')
    return functools.partial(_run, kernel, scratch, numbers)


def _run(
    kernel: Run,
    scratch: Callable[..., int],
    numbers: Shape,
    x: Array,
    gy: Array,
    gw: Array,
    gb: Array | None = None,
) -> None:
    _, channels, _, _, filters, *sizes = numbers
    floats = scratch(channels, filters, *sizes[:4])
    kernel(x, gy, dnnl.scratch(4 * floats), gw, gb, *numbers)
