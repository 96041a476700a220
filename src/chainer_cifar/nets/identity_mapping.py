"""Residual net with pre-activation: between blocks there is nothing but the sum."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import BatchConv2D, global_average
from chainer_cifar.nets.residual_parts import add, doubling, is_skipped, shortcut, three_stages


class IdentityMappingBlock(chainer.Chain):
    """Batch normalization, ReLU, 3x3 convolution, all twice, and a shortcut without parameters.

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
        he = chainer.initializers.HeNormal()
        with self.init_scope():
            self.bn1 = L.BatchNormalization(in_channels)
            self.conv1 = L.Convolution2D(in_channels, out_channels, 3, stride, 1, initialW=he)
            self.bn2 = L.BatchNormalization(out_channels)
            self.conv2 = L.Convolution2D(out_channels, out_channels, 3, 1, 1, initialW=he)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        past = shortcut(x, self.stride, self.new_channels)
        if is_skipped(self.skip_ratio):
            return past
        h = self.conv1(F.relu(self.bn1(x)))
        h = self.conv2(F.relu(self.bn2(h)))
        return add(h, past, self.skip_ratio, self.swapout)


@register('identity_mapping')
class IdentityMapping(chainer.Chain):
    """Pre-activation residual net of 6 x res_depth + 2 layers (He et al., 2016).

    He et al., Identity Mappings in Deep Residual Networks, 2016. The original project's net lacks
    the batch normalization and the ReLU after the last block, which the paper has; here they are.
    That project trained it with a learning rate that rises from 0.02 to 0.1 in nine epochs, because
    it diverged otherwise.

    Args:
        n_class: Number of classes.
        shape: Of an image.
        res_depth: Blocks in each of the three stages (16, 32 and 64 channels).
        skip_depth: Use stochastic depth; see `three_stages`.
        swapout: Use swapout; see `IdentityMappingBlock`.
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
            self.bn = L.BatchNormalization(64)
            self.fc = L.Linear(64, n_class)
        for block in three_stages(16, doubling(16, res_depth), skip_depth):
            self.blocks.append(IdentityMappingBlock(*block, swapout))

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self.bconv1(x)
        for block in self.blocks:
            h = block(h)
        return self.fc(global_average(F.relu(self.bn(h))))
