"""Article 000's residual net, with stochastic depth and swapout."""

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np

from chainer_cifar.nets import nets
from chainer_cifar.nets.blocks import BatchConv2D


class ResidualBlock(chainer.Chain):
    """Two 3x3 convolutions beside a shortcut without parameters.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        stride (int): Of the first convolution; the shortcut is subsampled alike.
        skip_ratio (float): Probability that a training step leaves out the convolutions
            (Huang et al., Deep Networks with Stochastic Depth, 2016). At test time their output
            is multiplied by ``1 - skip_ratio``.
        swapout (bool): Drop units of the residual and of the shortcut independently
            (Singh et al., Swapout, 2016).
    """

    def __init__(self, in_channels, out_channels, stride=1, skip_ratio=0.0, swapout=False):
        super().__init__()
        self.stride = stride
        self.new_channels = out_channels - in_channels
        self.skip_ratio = skip_ratio
        self.swapout = swapout
        # The article's wscale sqrt(2) of Chainer 1 on top of LeCun's scale is He's.
        he = chainer.initializers.HeNormal()
        with self.init_scope():
            self.conv1 = L.Convolution2D(in_channels, out_channels, 3, stride, 1, initialW=he)
            self.bn1 = L.BatchNormalization(out_channels)
            self.conv2 = L.Convolution2D(out_channels, out_channels, 3, 1, 1, initialW=he)
            self.bn2 = L.BatchNormalization(out_channels)

    def forward(self, x):
        shortcut = self._shortcut(x)
        if chainer.config.train and self.skip_ratio and np.random.rand() < self.skip_ratio:
            return shortcut
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        if self.skip_ratio and not chainer.config.train:
            h = h * (1 - self.skip_ratio)
        if self.swapout:
            h, shortcut = F.dropout(h), F.dropout(shortcut)
        return F.relu(h + shortcut)

    def _shortcut(self, x):
        if self.stride > 1:
            x = F.average_pooling_2d(x, 1, self.stride)
        if self.new_channels:
            # The article puts the zero channels first.
            x = F.pad(x, ((0, 0), (self.new_channels, 0), (0, 0), (0, 0)), 'constant')
        return x


@nets.register('residual')
class ResidualNet(chainer.Chain):
    """Residual net of 6 x res_depth + 2 layers (article 000).

    Args:
        n_class (int): Number of classes.
        res_depth (int): Blocks in each of the three stages (16, 32 and 64 channels).
        skip_depth (bool): Stochastic depth: the probability of leaving a block out rises linearly
            from 0 at the first block to 0.5 at the last; the two that halve the image always stay.
        swapout (bool): See `ResidualBlock`.
    """

    def __init__(self, n_class=10, res_depth=18, skip_depth=False, swapout=False):
        super().__init__()
        with self.init_scope():
            self.bconv1 = BatchConv2D(3, 16, 3, pad=1)
            self.blocks = chainer.ChainList()
            self.fc = L.Linear(64, n_class)
        channels = 16
        last = 3 * res_depth - 3  # number of the last block, counting those that may be skipped
        number = 0
        for out_channels in (16, 32, 64):
            for _ in range(res_depth):
                if out_channels != channels:
                    block = ResidualBlock(channels, out_channels, stride=2, swapout=swapout)
                else:
                    ratio = 0.5 * number / last if skip_depth and last else 0.0
                    block = ResidualBlock(channels, channels, skip_ratio=ratio, swapout=swapout)
                    number += 1
                self.blocks.append(block)
                channels = out_channels

    def forward(self, x):
        h = self.bconv1(x)
        for block in self.blocks:
            h = block(h)
        return self.fc(F.average_pooling_2d(h, 8))
