"""PyramidNet: a residual net in which every block is a little wider than the one before."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import BatchConv2D, global_average
from chainer_cifar.nets.residual_parts import add, is_skipped, shortcut, three_stages


class PyramidBlock(chainer.Chain):
    """BN, 3x3 convolution, BN, ReLU, 3x3 convolution, BN, and a shortcut without parameters.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; the shortcut's new ones, all zeros, come last.
        stride: Stride of the first convolution; the shortcut is subsampled by the same.
        skip_ratio: Probability that a training step skips the convolutions.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, skip_ratio: float = 0.0
    ) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = out_channels - in_channels
        self.skip_ratio = skip_ratio
        he = chainer.initializers.HeNormal(fan_option='fan_out')
        with self.init_scope():
            self.bn1 = L.BatchNormalization(in_channels)
            self.conv1 = L.Convolution2D(in_channels, out_channels, 3, stride, 1, initialW=he)
            self.bn2 = L.BatchNormalization(out_channels)
            self.conv2 = L.Convolution2D(out_channels, out_channels, 3, 1, 1, initialW=he)
            self.bn3 = L.BatchNormalization(out_channels)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        past = shortcut(x, self.stride, self.new_channels, zeros_first=False)
        if is_skipped(self.skip_ratio):
            return past
        h = F.relu(self.bn2(self.conv1(self.bn1(x))))
        h = self.bn3(self.conv2(h))
        return add(h, past, self.skip_ratio)


def widths(depth: int, alpha: int) -> list[int]:
    """Return the channels after each of 3 x `depth` blocks: a straight line, 16 to 16 + `alpha`."""
    n = 3 * depth
    # In whole numbers, rounded half up; adding a fraction again and again would drift.
    return [16 + (2 * alpha * k + n) // (2 * n) for k in range(1, n + 1)]


@register('pyramid')
class PyramidNet(chainer.Chain):
    """PyramidNet of 6 x res_depth + 2 layers with additive widening (Han et al., 2017).

    Han et al., Deep Pyramidal Residual Networks, 2017. The original project widens by its own
    alpha, 16, in each of the three stages. In the paper alpha is the sum over all blocks, so by
    default this is as deep and wide as its PyramidNet-110 with alpha 48 (1.7 M parameters, test
    error 4.62 % there). The authors' code has no ReLU after the first convolution, and its
    shortcut averages 2x2 pixels where the stride is 2; here it takes one of them.

    Args:
        n_class: Number of classes.
        shape: Of an image.
        res_depth: Blocks in each of the three stages.
        pyramid_alpha: The paper's alpha: how many channels all blocks together add to the first 16.
        skip_depth: Use stochastic depth; see `three_stages`.
    """

    def __init__(
        self,
        n_class: int = 10,
        shape: Shape = CIFAR,
        res_depth: int = 18,
        pyramid_alpha: int = 48,
        skip_depth: bool = False,
    ) -> None:
        super().__init__()
        with self.init_scope():
            self.bconv1 = BatchConv2D(shape[0], 16, 3, pad=1)
            self.blocks = chainer.ChainList()
            self.bn = L.BatchNormalization(16 + pyramid_alpha)
            self.fc = L.Linear(16 + pyramid_alpha, n_class)
        for block in three_stages(16, widths(res_depth, pyramid_alpha), skip_depth):
            self.blocks.append(PyramidBlock(*block))

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self.bconv1(x)
        for block in self.blocks:
            h = block(h)
        return self.fc(global_average(F.relu(self.bn(h))))
