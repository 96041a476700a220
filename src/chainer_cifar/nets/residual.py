"""Article 000's residual net, with stochastic depth and swapout."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import BatchConv2D, global_average
from chainer_cifar.nets.residual_parts import add, doubling, is_skipped, shortcut, three_stages


class ResidualBlock(chainer.Chain):
    """Two 3x3 convolutions and a shortcut without parameters.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution; the shortcut is subsampled by the same.
        skip_ratio: Probability that a training step skips the convolutions.
        swapout: Drop units of the residual and of the shortcut independently.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        skip_ratio: float = 0.0,
        swapout: bool = False,
    ) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = out_channels - in_channels
        self.skip_ratio = skip_ratio
        self.swapout = swapout
        # He's, 1.41 times LeCun's scale, as the project of the article has it since August 2017. In
        # the article, Chainer 1.9 took the root of wscale = sqrt(2): 1.19 times LeCun's.
        he = chainer.initializers.HeNormal()
        with self.init_scope():
            self.conv1 = L.Convolution2D(in_channels, out_channels, 3, stride, 1, initialW=he)
            self.bn1 = L.BatchNormalization(out_channels)
            self.conv2 = L.Convolution2D(out_channels, out_channels, 3, 1, 1, initialW=he)
            self.bn2 = L.BatchNormalization(out_channels)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        past = shortcut(x, self.stride, self.new_channels)
        if is_skipped(self.skip_ratio):
            return past
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return F.relu(add(h, past, self.skip_ratio, self.swapout))


@register('residual')
class ResidualNet(chainer.Chain):
    """Residual net of 6 x res_depth + 2 layers (article 000).

    Args:
        n_class: Number of classes.
        shape: Of an image.
        res_depth: Blocks in each of the three stages (16, 32 and 64 channels).
        skip_depth: Use stochastic depth; see `three_stages`.
        swapout: Use swapout; see `ResidualBlock`.
    """

    def __init__(
        self,
        n_class: int = 10,
        shape: Shape = CIFAR,
        res_depth: int = 18,
        skip_depth: bool = False,
        swapout: bool = False,
    ) -> None:
        super().__init__()
        with self.init_scope():
            self.bconv1 = BatchConv2D(shape[0], 16, 3, pad=1)
            self.blocks = chainer.ChainList()
            self.fc = L.Linear(64, n_class)
        for block in three_stages(16, doubling(16, res_depth), skip_depth):
            self.blocks.append(ResidualBlock(*block, swapout))

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self.bconv1(x)
        for block in self.blocks:
            h = block(h)
        return self.fc(global_average(h))
