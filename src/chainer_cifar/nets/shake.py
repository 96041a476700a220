"""Shake-Shake: a residual net whose blocks have two branches, mixed at random in training."""

import chainer
import chainer.functions as F
import chainer.links as L
from chainer.utils import type_check

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import BatchConv2D, global_average
from chainer_cifar.nets.residual_parts import doubling, shortcut, three_stages


class ShakeShake(chainer.FunctionNode):
    """Compute ``a * x1 + (1 - a) * x2``; the backward pass draws another `a`."""

    def check_type_forward(self, in_types: type_check.TypeInfoTuple) -> None:
        type_check._argname(in_types, ('x1', 'x2'))
        x1, x2 = in_types
        type_check.expect(x1.dtype.kind == 'f', x1.dtype == x2.dtype, x1.shape == x2.shape)

    def forward(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        x1, x2 = inputs
        return (x2 + _weights(x1) * (x1 - x2),)

    def backward(
        self, indexes: tuple[int, ...], grad_outputs: tuple[chainer.Variable, ...]
    ) -> tuple[chainer.Variable, ...]:
        (gy,) = grad_outputs
        gx1 = gy * _weights(gy.array)
        return gx1, gy - gx1


def _weights(x: Array) -> Array:
    """Draw a number in [0, 1) for each image, of the dtype of `x`: ``(N, 1, 1, 1)``."""
    xp: ArrayModule = chainer.backend.get_array_module(x)
    shape = (len(x),) + (1,) * (x.ndim - 1)
    return xp.random.uniform(size=shape).astype(x.dtype)


def shake_shake(x1: chainer.Variable, x2: chainer.Variable) -> chainer.Variable:
    """Average two branches; in training with random weights for each image.

    Gastaldi, Shake-Shake regularization, 2017 (Shake-Shake-Image): the forward pass and the
    backward pass draw their weights independently.

    Args:
        x1, x2: ``(N, ...)``, of the same shape and dtype.
    """
    if chainer.config.train:
        return ShakeShake().apply((x1, x2))[0]
    return 0.5 * (x1 + x2)


class ShakeBlock(chainer.Chain):
    """Two branches of two 3x3 convolutions, and a shortcut without parameters.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of each branch's first convolution; the shortcut is subsampled by the same.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.new_channels = out_channels - in_channels
        he = chainer.initializers.HeNormal()
        with self.init_scope():
            self.conv1_1 = L.Convolution2D(in_channels, out_channels, 3, stride, 1, initialW=he)
            self.bn1_1 = L.BatchNormalization(out_channels)
            self.conv1_2 = L.Convolution2D(out_channels, out_channels, 3, 1, 1, initialW=he)
            self.bn1_2 = L.BatchNormalization(out_channels)
            self.conv2_1 = L.Convolution2D(in_channels, out_channels, 3, stride, 1, initialW=he)
            self.bn2_1 = L.BatchNormalization(out_channels)
            self.conv2_2 = L.Convolution2D(out_channels, out_channels, 3, 1, 1, initialW=he)
            self.bn2_2 = L.BatchNormalization(out_channels)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h1 = F.relu(self.bn1_1(self.conv1_1(x)))
        h1 = self.bn1_2(self.conv1_2(h1))
        h2 = F.relu(self.bn2_1(self.conv2_1(x)))
        h2 = self.bn2_2(self.conv2_2(h2))
        return F.relu(shake_shake(h1, h2) + shortcut(x, self.stride, self.new_channels))


@register('shake_residual')
class ShakeResidualNet(chainer.Chain):
    """Two-branch residual net with Shake-Shake regularization (Gastaldi, 2017).

    With ``res_depth=4, res_width=2`` it is as deep and wide as Gastaldi's net of 26 layers, 2x32d,
    but it has the original project's blocks: a shortcut without parameters, and the ReLU after the
    sum. The default depth is that of the original command line.

    Args:
        n_class: Number of classes.
        shape: Of an image.
        res_depth: Blocks in each of the three stages.
        res_width: The stages have 16, 32 and 64 times this many channels.
    """

    def __init__(
        self,
        n_class: int = 10,
        shape: Shape = CIFAR,
        res_depth: int = 18,
        res_width: int = 2,
    ) -> None:
        super().__init__()
        channels = 16 * res_width
        with self.init_scope():
            self.bconv1 = BatchConv2D(shape[0], channels, 3, pad=1)
            self.blocks = chainer.ChainList()
            self.fc = L.Linear(64 * res_width, n_class)
        for before, after, stride, _ in three_stages(channels, doubling(channels, res_depth)):
            self.blocks.append(ShakeBlock(before, after, stride))

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self.bconv1(x)
        for block in self.blocks:
            h = block(h)
        return self.fc(global_average(h))
