"""Shallow nets: three 5x5 convolutions and two fully connected layers."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import BatchConv2D, dropout
from chainer_cifar.nets.weight_normalization import WeightNormalizedConvolution2D


class _FullyConnected(chainer.Chain):
    """The upper half of each of these nets: dropout, 1000 hidden units, dropout, logits."""

    least_side = 8

    def __init__(self, n_class: int, shape: Shape) -> None:
        super().__init__()
        _, height, width = shape
        with self.init_scope():
            self.l1 = L.Linear(128 * (height // 8) * (width // 8), 1000)
            self.l2 = L.Linear(1000, n_class)

    def classify(self, h: chainer.Variable) -> chainer.Variable:
        return self.l2(dropout(F.relu(self.l1(dropout(h)))))


@register('cnn')
class CNN(_FullyConnected):
    """Three 5x5 convolutions, max pooling, two fully connected layers (article 000)."""

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__(n_class, shape)
        with self.init_scope():
            self.conv1 = L.Convolution2D(shape[0], 64, 5, pad=2)
            self.conv2 = L.Convolution2D(64, 64, 5, pad=2)
            self.conv3 = L.Convolution2D(64, 128, 5, pad=2)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        for conv in (self.conv1, self.conv2, self.conv3):
            x = F.max_pooling_2d(F.relu(conv(x)), 3, 2)
        return self.classify(x)


@register('cnnbn')
class CNNBN(_FullyConnected):
    """`cnn` with batch normalization after each convolution (article 000)."""

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__(n_class, shape)
        with self.init_scope():
            self.bconv1 = BatchConv2D(shape[0], 64, 5, pad=2)
            self.bconv2 = BatchConv2D(64, 64, 5, pad=2)
            self.bconv3 = BatchConv2D(64, 128, 5, pad=2)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        for bconv in (self.bconv1, self.bconv2, self.bconv3):
            x = F.max_pooling_2d(bconv(x), 3, 2)
        return self.classify(x)


@register('cnnwn')
class CNNWN(_FullyConnected):
    """`cnn` with weight normalization of each convolution (Salimans and Kingma, 2016).

    From the original project's later registry, in the paper's form; see
    `WeightNormalizedConvolution2D`.
    """

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__(n_class, shape)
        with self.init_scope():
            self.wn_conv1 = WeightNormalizedConvolution2D(shape[0], 64, 5, pad=2)
            self.wn_conv2 = WeightNormalizedConvolution2D(64, 64, 5, pad=2)
            self.wn_conv3 = WeightNormalizedConvolution2D(64, 128, 5, pad=2)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        for conv in (self.wn_conv1, self.wn_conv2, self.wn_conv3):
            x = F.max_pooling_2d(F.relu(conv(x)), 3, 2)
        return self.classify(x)
