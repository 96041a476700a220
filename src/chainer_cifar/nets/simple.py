"""Article 001's nets of one convolution. Links are named like the article's Keras layers."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import KERAS_INITIAL


class _OneConvolution(chainer.Chain):
    """5x5 convolution to 30 channels, ReLU, 2x2 max pooling, 100 hidden units, logits."""

    least_side = 5

    def __init__(self, in_channels: int, n_features: int, n_class: int) -> None:
        super().__init__()
        with self.init_scope():
            self.conv2d_1 = L.Convolution2D(in_channels, 30, 5, initialW=KERAS_INITIAL)
            self.dense_1 = L.Linear(n_features, 100, initialW=KERAS_INITIAL)
            self.dense_2 = L.Linear(100, n_class, initialW=KERAS_INITIAL)

    def features(self, x: chainer.Variable) -> chainer.Variable:
        return F.max_pooling_2d(F.relu(self.conv2d_1(x)), 2)

    def classify(self, h: chainer.Variable) -> chainer.Variable:
        return self.dense_2(F.relu(self.dense_1(h)))


@register('simple')
class Simple(_OneConvolution):
    """One 5x5 convolution, max pooling, two fully connected layers (article 001)."""

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        channels, *size = shape
        height, width = ((side - 3) // 2 for side in size)
        super().__init__(channels, 30 * height * width, n_class)
        # Shape (C, H, W) of the input that a layer flattens; Keras flattens it in order H, W, C.
        self.flattened = {'dense_1': (30, height, width)}

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        return self.classify(self.features(x))


@register('simple_gap')
class SimpleGAP(_OneConvolution):
    """`simple` with global average pooling after the max pooling (article 001)."""

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__(shape[0], 30, n_class)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        return self.classify(F.average(self.features(x), axis=(2, 3)))
