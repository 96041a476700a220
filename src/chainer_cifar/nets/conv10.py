"""Article 002's net of ten layers. Links are named like the article's Keras layers."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import KERAS_INITIAL, dropout, global_average, keras_normalization


@register('conv10')
class Conv10(chainer.Chain):
    """Three sets of unpadded 1x1, 3x3, 5x5 convolutions, 64 to 256 channels wide (article 002).

    The maps are 32, 30 and 26 pixels wide, pooled to 13, 11 and 7, then 7, 5 and 1. Those of larger
    images are averaged in the end.
    """

    least_side = 31

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__()
        in_channels = shape[0]
        with self.init_scope():
            for number in range(9):
                channels, ksize = (64, 128, 256)[number // 3], (1, 3, 5)[number % 3]
                conv = L.Convolution2D(in_channels, channels, ksize, initialW=KERAS_INITIAL)
                setattr(self, f'conv2d_{number + 1}', conv)
                setattr(self, f'batch_normalization_{number + 1}', keras_normalization(channels))
                in_channels = channels
            self.dense_1 = L.Linear(256, n_class, initialW=KERAS_INITIAL)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        x = F.max_pooling_2d(self._set(x, 1, 2, 3), 2)
        x = self._set(x, 4, 5, 6)
        return self.dense_1(global_average(self._set(x, 7, 8, 9)))

    def _set(self, x: chainer.Variable, *numbers: int) -> chainer.Variable:
        for number in numbers:
            x = self[f'batch_normalization_{number}'](self[f'conv2d_{number}'](x))
            x = F.relu(x)
        return dropout(x, 0.25)
