"""Compute where the windows of convolutions and poolings lie."""

from collections.abc import Sequence
from typing import NamedTuple

from chainer.utils.conv import get_conv_outsize

from chainer_onednn.dnnl import Unsupported
from chainer_onednn.hints import Shape


def output_size(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    dilate: Sequence[int] = (1, 1),
    cover_all: bool = False,
) -> Shape:
    """Compute height and width of the output; each argument but the last is such a pair.

    Raises:
        Unsupported: The output is empty; Chainer's own code has the error for it.
    """
    out = tuple(
        get_conv_outsize(*sizes, cover_all=cover_all, d=step)
        for *sizes, step in zip(size, kernel, stride, pad, dilate, strict=True)
    )
    if min(out) <= 0:
        raise Unsupported('no output')
    return out


def right_padding(
    size: Sequence[int],
    out: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    dilate: Sequence[int] = (1, 1),
) -> Shape:
    """Compute the padding below and to the right that an output of size `out` needs.

    It is more than `pad` for Chainer's `cover_all`, and negative if the last window does not reach
    the edge.
    """
    return tuple(
        (count - 1) * stride + (kernel - 1) * dilate + 1 - size - pad
        for size, count, kernel, stride, pad, dilate in zip(
            size, out, kernel, stride, pad, dilate, strict=True
        )
    )


class Geometry(NamedTuple):
    """All that defines a convolution: shapes of image ``x`` and output ``y``, filters and steps."""

    x: Shape  # (N, C, H, W)
    y: Shape  # (N, C', H', W')
    kernel: Shape
    stride: Shape
    pad: Shape
    dilate: Shape
    groups: int

    @property
    def weight_shape(self) -> Shape:
        """The shape of the weights, with the groups first if there are several."""
        if self.groups == 1:
            return self.y[1], self.x[1], *self.kernel
        groups = self.groups
        return groups, self.y[1] // groups, self.x[1] // groups, *self.kernel

    @property
    def arguments(self) -> tuple[Shape, ...]:
        """Strides, dilations and paddings as oneDNN wants them."""
        right = right_padding(
            self.x[2:], self.y[2:], self.kernel, self.stride, self.pad, self.dilate
        )
        return self.stride, tuple(step - 1 for step in self.dilate), self.pad, right
