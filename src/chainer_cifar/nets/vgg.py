"""Article 000's VGG-like net, and its variants from the original project's later registry."""

import math
from collections.abc import Callable

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import BatchConv2D, dropout, global_average


class CReLUConv2D(chainer.Chain):
    """Convolution, batch normalization of its output and its negative, ReLU of both (CReLU).

    Shang et al., Understanding and Improving Convolutional Neural Networks via Concatenated
    Rectified Linear Units, 2016. The convolution has half of `out_channels` filters.
    """

    def __init__(self, in_channels: int, out_channels: int, ksize: int, pad: int = 0) -> None:
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(in_channels, out_channels // 2, ksize, pad=pad)
            self.bn = L.BatchNormalization(out_channels)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self.conv(x)
        return F.relu(self.bn(F.concat((h, -h))))


class _EightConvolutions(chainer.Chain):
    """The lower part of three of the nets: 64, 128 and 256 channels, halved after each width."""

    convolution: Callable[..., chainer.Chain] = BatchConv2D

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        with self.init_scope():
            self.bconv1_1 = self.convolution(in_channels, 64, 3, pad=1)
            self.bconv1_2 = self.convolution(64, 64, 3, pad=1)
            self.bconv2_1 = self.convolution(64, 128, 3, pad=1)
            self.bconv2_2 = self.convolution(128, 128, 3, pad=1)
            self.bconv3_1 = self.convolution(128, 256, 3, pad=1)
            self.bconv3_2 = self.convolution(256, 256, 3, pad=1)
            self.bconv3_3 = self.convolution(256, 256, 3, pad=1)
            self.bconv3_4 = self.convolution(256, 256, 3, pad=1)

    def convolve(self, x: chainer.Variable) -> chainer.Variable:
        """Turn ``(N, C, H, W)`` into ``(N, 256, H / 8, W / 8)``, rounded up."""
        h = self.bconv1_2(self.bconv1_1(x))
        h = dropout(F.max_pooling_2d(h, 2), 0.25)
        h = self.bconv2_2(self.bconv2_1(h))
        h = dropout(F.max_pooling_2d(h, 2), 0.25)
        h = self.bconv3_4(self.bconv3_3(self.bconv3_2(self.bconv3_1(h))))
        return dropout(F.max_pooling_2d(h, 2), 0.25)


@register('vgg')
class VGG(_EightConvolutions):
    """Eight 3x3 convolutions with batch normalization, three fully connected layers (article 000).

    After the net of "Kaggle CIFAR-10" (94.15 % there), with batch normalization.
    """

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        channels, *size = shape
        super().__init__(channels)
        height, width = (math.ceil(side / 8) for side in size)
        with self.init_scope():
            self.fc4 = L.Linear(256 * height * width, 1024)
            self.fc5 = L.Linear(1024, 1024)
            self.fc6 = L.Linear(1024, n_class)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self.convolve(x)
        h = F.relu(self.fc4(dropout(h)))
        h = F.relu(self.fc5(dropout(h)))
        return self.fc6(h)


@register('vgg_crelu')
class VGGCReLU(VGG):
    """`vgg` with CReLU: half as many filters, each used with both signs (Shang et al., 2016)."""

    convolution = CReLUConv2D


@register('vgg_no_fc')
class VGGNoFC(_EightConvolutions):
    """`vgg` with global average pooling in place of its hidden fully connected layers."""

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__(shape[0])
        with self.init_scope():
            self.fc = L.Linear(256, n_class)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = global_average(self.convolve(x))
        return self.fc(dropout(h))


@register('vgg_wide')
class VGGWide(chainer.Chain):
    """Sixteen 3x3 convolutions of 128, 256 and 512 channels, global average pooling.

    Dropout follows each convolution or, after the last one of a width, the max pooling.
    """

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__()
        with self.init_scope():
            self.stage1 = _same_width(shape[0], 128, 4)
            self.stage2 = _same_width(128, 256, 4)
            self.stage3 = _same_width(256, 512, 8)
            self.fc = L.Linear(512, n_class)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        for stage in (self.stage1, self.stage2, self.stage3):
            for bconv in stage[:-1]:
                x = dropout(bconv(x), 0.25)
            x = dropout(F.max_pooling_2d(stage[-1](x), 2), 0.25)
        return self.fc(dropout(global_average(x)))


def _same_width(in_channels: int, channels: int, n: int) -> chainer.ChainList:
    """Make `n` convolutions with this many output channels."""
    widths = [in_channels] + [channels] * (n - 1)
    return chainer.ChainList(*(BatchConv2D(width, channels, 3, pad=1) for width in widths))
