"""MobileNet v1, layer for layer the one of Keras that article 001 fine-tunes."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import (
    KERAS_INITIAL,
    global_average,
    keras_normalization,
    upscaled,
)

# Channels after each of the 13 pairs of a depthwise and a pointwise convolution.
WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
HALVING = (2, 4, 6, 12)  # which pairs have stride 2, counted from 1


@register('mobilenet')
class MobileNet(chainer.Chain):
    """MobileNet v1, 28 layers of depthwise and pointwise convolutions (article 001).

    Howard et al., MobileNets, 2017. The links are named like Keras' layers, so that
    ``--init mobilenet_1_0_224_tf_no_top.h5`` finds them; those weights expect images as
    x/127.5 - 1.

    Args:
        n_class: Number of classes.
        shape: Of an image.
        upscale: Resize the images to this width in pixels first; 0: leave them alone.
    """

    input_normalization = 'symmetric'
    least_side = 32

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR, upscale: int = 0) -> None:
        super().__init__()
        self.upscale = upscale
        with self.init_scope():
            self.conv1 = _convolution(shape[0], 32, 3, 2)
            self.conv1_bn = keras_normalization(32)
            self.fc = L.Linear(WIDTHS[-1], n_class, initialW=KERAS_INITIAL)
        channels = 32
        for i, width in enumerate(WIDTHS, 1):
            stride, pad = (2, 0) if i in HALVING else (1, 1)
            self.add_link(
                f'conv_dw_{i}', _convolution(channels, channels, 3, stride, pad, channels)
            )
            self.add_link(f'conv_dw_{i}_bn', keras_normalization(channels))
            self.add_link(f'conv_pw_{i}', _convolution(channels, width, 1))
            self.add_link(f'conv_pw_{i}_bn', keras_normalization(width))
            channels = width

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self._unit('conv1', _padded(upscaled(x, self.upscale)))
        for i in range(1, len(WIDTHS) + 1):
            h = self._unit(f'conv_dw_{i}', _padded(h) if i in HALVING else h)
            h = self._unit(f'conv_pw_{i}', h)
        return self.fc(global_average(h))

    def _unit(self, name: str, x: chainer.Variable) -> chainer.Variable:
        return F.relu6(self[f'{name}_bn'](self[name](x)))


def _convolution(
    in_channels: int, out_channels: int, ksize: int, stride: int = 1, pad: int = 0, groups: int = 1
) -> L.Convolution2D:
    return L.Convolution2D(
        in_channels,
        out_channels,
        ksize,
        stride,
        pad,
        nobias=True,
        initialW=KERAS_INITIAL,
        groups=groups,
    )


def _padded(x: chainer.Variable) -> chainer.Variable:
    # Keras does so before a stride of 2, at any size: one row of zeros below, one column right.
    return F.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)), 'constant')
