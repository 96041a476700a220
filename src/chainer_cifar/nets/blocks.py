"""Blocks from which several nets are built."""

import math
from collections.abc import Callable
from typing import TypeAlias

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np

Activation: TypeAlias = Callable[[chainer.Variable], chainer.Variable]


class BatchConv2D(chainer.Chain):
    """Convolution (with bias), batch normalization, ReLU, as article 000 defines it.

    `activation` may be another function instead of the ReLU, or None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        ksize: int,
        pad: int = 0,
        activation: Activation | None = F.relu,
    ) -> None:
        super().__init__()
        self.activation = activation
        with self.init_scope():
            self.conv = L.Convolution2D(in_channels, out_channels, ksize, pad=pad)
            self.bn = L.BatchNormalization(out_channels)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self.bn(self.conv(x))
        return self.activation(h) if self.activation else h


def dropout(x: chainer.Variable, ratio: float = 0.5) -> chainer.Variable:
    """Do as `F.dropout`, but so that the run's seed decides on a GPU, too; nets call this one.

    There Chainer would ask cuDNN, whose own random numbers the system seeds once a process, so that
    no run could be repeated or resumed. Without cuDNN the mask comes from CuPy's random numbers.
    """
    with chainer.using_config('use_cudnn', 'never'):
        return F.dropout(x, ratio)


# How Keras initializes the weights of its layers by default; biases are 0 in Keras and Chainer.
KERAS_INITIAL = chainer.initializers.GlorotUniform()


def keras_normalization(channels: int) -> L.BatchNormalization:
    """Make a batch normalization with Keras' constants: momentum 0.99, eps 1e-3."""
    return L.BatchNormalization(channels, decay=0.99, eps=1e-3)


def global_average(x: chainer.Variable) -> chainer.Variable:
    """Average maps ``(N, C, H, W)`` of any size over all their pixels, to ``(N, C, 1, 1)``."""
    return F.average_pooling_2d(x, x.shape[2:])


def upscaled(x: chainer.Variable, width: int) -> chainer.Variable:
    """Resize images bilinearly to `width` pixels, as `upscaled_size` says; 0: leave them alone.

    Nets made for larger images than CIFAR's need it. Pixel centres are half a pixel from the edge,
    and outside the outermost ones the edge is repeated, as in OpenCV and TensorFlow 2.

    Args:
        x: float32 or float16 ``(N, C, H, W)``.
        width: The new width.
    """
    if not width:
        return x
    if x.dtype != np.float32:  # Chainer's function takes no other
        return F.cast(upscaled(F.cast(x, np.float32), width), x.dtype)
    size = upscaled_size(x.shape[2:], width)
    return F.resize_images(x, size, mode='bilinear', align_corners=False)


def upscaled_size(size: tuple[int, int], width: int) -> tuple[int, int]:
    """Return height and width after `upscaled`: as wide as `width`, in the same proportion."""
    return (max(1, round(size[0] * width / size[1])), width) if width else size


def padded_same(x: chainer.Variable, ksize: int, stride: int) -> chainer.Variable:
    """Put zeros around images ``(N, C, H, W)`` as TensorFlow's padding 'same' does.

    A convolution without padding of its own then turns a side of n into ceil(n / stride). If the
    number of zeros is odd, the bottom and the right get one more: (0, 1) for ksize 3, stride 2 and
    even n, while ``pad=1`` would put one on each side and shift the image.
    """
    zeros = [max((math.ceil(side / stride) - 1) * stride + ksize - side, 0) for side in x.shape[2:]]
    return F.pad(x, ((0, 0), (0, 0), *((n // 2, n - n // 2) for n in zeros)), 'constant')
