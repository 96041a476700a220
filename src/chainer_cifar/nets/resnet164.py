"""Article 003's residual net of bottleneck units with pre-activation."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import KERAS_INITIAL, keras_normalization


def _convolution(
    in_channels: int, out_channels: int, ksize: int, stride: int = 1
) -> L.Convolution2D:
    # Keras' he_normal cuts the normal distribution off at two standard deviations; this does not.
    he = chainer.initializers.HeNormal()
    pad = ksize // 2
    return L.Convolution2D(in_channels, out_channels, ksize, stride, pad, nobias=True, initialW=he)


class BottleneckUnit(chainer.Chain):
    """BN-ReLU-1x1, BN-ReLU-3x3, BN-ReLU-1x1 and a shortcut (He et al., Identity Mappings, 2016).

    Args:
        in_channels: Channels of the input.
        channels: Channels of the output; inside there are a quarter of them.
        stride: Stride of the first 1x1 convolution and of the shortcut.
        first: Whether this is the first unit of a stage. Then the shortcut is a 1x1 convolution of
            the first BN-ReLU's output; otherwise it is the input.
    """

    def __init__(self, in_channels: int, channels: int, stride: int, first: bool) -> None:
        super().__init__()
        inner = channels // 4
        with self.init_scope():
            self.bn1 = keras_normalization(in_channels)
            self.conv1 = _convolution(in_channels, inner, 1, stride)
            self.bn2 = keras_normalization(inner)
            self.conv2 = _convolution(inner, inner, 3)
            self.bn3 = keras_normalization(inner)
            self.conv3 = _convolution(inner, channels, 1)
            self.shortcut = _convolution(in_channels, channels, 1, stride) if first else None

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        active = F.relu(self.bn1(x))
        h = self.conv1(active)
        h = self.conv2(F.relu(self.bn2(h)))
        h = self.conv3(F.relu(self.bn3(h)))
        return h + (x if self.shortcut is None else self.shortcut(active))


@register('resnet164')
class ResNet164(chainer.Chain):
    """Pre-activation bottleneck residual net of 9 x res_depth + 2 layers (article 003).

    Args:
        n_class: Number of classes.
        shape: Of an image.
        res_depth: Units in each of the three stages (64, 128 and 256 channels).
    """

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR, res_depth: int = 18) -> None:
        super().__init__()
        with self.init_scope():
            self.conv1 = _convolution(shape[0], 16, 3)
            self.units = chainer.ChainList()
            self.bn = keras_normalization(256)
            self.fc = L.Linear(256, n_class, initialW=KERAS_INITIAL)
        in_channels = 16
        for channels in (64, 128, 256):
            for number in range(res_depth):
                first = number == 0
                stride = 2 if first and channels > 64 else 1
                self.units.append(BottleneckUnit(in_channels, channels, stride, first))
                in_channels = channels

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = self.conv1(x)
        for unit in self.units:
            h = unit(h)
        return self.fc(F.average(F.relu(self.bn(h)), axis=(2, 3)))
