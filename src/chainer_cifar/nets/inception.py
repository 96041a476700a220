"""A net of Inception blocks from the original project's later registry."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import BatchConv2D, dropout, global_average


class InceptionBlock(chainer.Chain):
    """Six branches, 1x1; 1x1, 3x3; and 1x1, 3x3, 3x3 twice each, joined by a 1x1 without ReLU.

    Args:
        in_channels: Channels of the input.
        narrow: Channels of the 1x1 convolutions before a 3x3 one; all others have twice as many.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, narrow: int, out_channels: int) -> None:
        super().__init__()
        wide = 2 * narrow
        with self.init_scope():
            self.conv1_1 = BatchConv2D(in_channels, wide, 1)
            self.conv2_1 = BatchConv2D(in_channels, narrow, 1)
            self.conv2_2 = BatchConv2D(narrow, wide, 3, pad=1)
            self.conv3_1 = BatchConv2D(in_channels, narrow, 1)
            self.conv3_2 = BatchConv2D(narrow, wide, 3, pad=1)
            self.conv3_3 = BatchConv2D(wide, wide, 3, pad=1)
            self.conv4_1 = BatchConv2D(in_channels, wide, 1)
            self.conv5_1 = BatchConv2D(in_channels, narrow, 1)
            self.conv5_2 = BatchConv2D(narrow, wide, 3, pad=1)
            self.conv6_1 = BatchConv2D(in_channels, narrow, 1)
            self.conv6_2 = BatchConv2D(narrow, wide, 3, pad=1)
            self.conv6_3 = BatchConv2D(wide, wide, 3, pad=1)
            self.join = BatchConv2D(6 * wide, out_channels, 1, activation=None)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        branches = (
            self.conv1_1(x),
            self.conv2_2(self.conv2_1(x)),
            self.conv3_3(self.conv3_2(self.conv3_1(x))),
            self.conv4_1(x),
            self.conv5_2(self.conv5_1(x)),
            self.conv6_3(self.conv6_2(self.conv6_1(x))),
        )
        return self.join(F.concat(branches))


@register('inception')
class Inception(chainer.Chain):
    """Eight Inception blocks of six branches with batch normalization, global average pooling.

    From the original project's later registry, after Szegedy et al., Going Deeper with
    Convolutions, 2015: each branch comes twice, two 3x3 convolutions replace the 5x5, and
    no branch pools.
    """

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__()
        with self.init_scope():
            self.l0 = BatchConv2D(shape[0], 64, 5, pad=2)
            self.l1_1 = InceptionBlock(64, 16, 64)
            self.l1_2 = InceptionBlock(64, 16, 64)
            self.l2_1 = InceptionBlock(64, 32, 128)
            self.l2_2 = InceptionBlock(128, 32, 128)
            self.l3_1 = InceptionBlock(128, 64, 256)
            self.l3_2 = InceptionBlock(256, 64, 256)
            self.l4_1 = InceptionBlock(256, 64, 256)
            self.l4_2 = InceptionBlock(256, 64, 256)
            self.fc = L.Linear(256, n_class)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self.l1_2(self.l1_1(self.l0(x)))
        h = dropout(F.max_pooling_2d(h, 2), 0.25)
        h = self.l2_2(self.l2_1(h))
        h = dropout(F.max_pooling_2d(h, 2), 0.25)
        h = self.l3_2(self.l3_1(h))
        h = dropout(F.max_pooling_2d(h, 2), 0.25)
        h = dropout(self.l4_2(self.l4_1(h)), 0.25)
        return self.fc(global_average(h))
