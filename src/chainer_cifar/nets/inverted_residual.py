"""Inverted residual blocks and a net of them, which MobileNet v2 and EfficientNet-Lite share."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import Shape
from chainer_cifar.nets.blocks import dropout, global_average, padded_same, upscaled

Normalization: TypeAlias = Callable[[int], chainer.Link]  # from a number of channels
# Blocks, ksize, stride of the first block, expansion, channels.
Stages: TypeAlias = Sequence[tuple[int, int, int, int, int]]

# Fan-out, as in torchvision's MobileNet v2 and in EfficientNet's code.
_HE = chainer.initializers.HeNormal(fan_option='fan_out')


class InvertedResidual(chainer.Chain):
    """1x1 convolution to more channels, depthwise convolution, linear 1x1 convolution to fewer.

    Sandler et al., MobileNetV2, 2018. There is a shortcut if input and output have the same shape.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        ksize: Size of the depthwise filters.
        stride: Stride of the depthwise convolution.
        expansion: How many times more channels there are inside; 1: no first convolution.
        norm: Makes a batch normalization.
        same: Pad as TensorFlow's 'same' does if the stride is 2; otherwise with ksize // 2 zeros
            on each side.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        ksize: int,
        stride: int,
        expansion: int,
        norm: Normalization,
        same: bool,
    ) -> None:
        super().__init__()
        self.ksize, self.stride = ksize, stride
        self.same = same and stride > 1
        self.shortcut = stride == 1 and in_channels == out_channels
        wide = in_channels * expansion
        pad = 0 if self.same else ksize // 2
        # By one channel in and one out, as in EfficientNet's code. Torchvision, and Chainer's
        # fan-out, count all channels as outputs of each depthwise filter.
        he = chainer.initializers.HeNormal()
        with self.init_scope():
            if expansion > 1:
                self.expand = L.Convolution2D(in_channels, wide, 1, nobias=True, initialW=_HE)
                self.expand_bn = norm(wide)
            self.depthwise = L.Convolution2D(
                wide, wide, ksize, stride, pad, nobias=True, initialW=he, groups=wide
            )
            self.depthwise_bn = norm(wide)
            self.project = L.Convolution2D(wide, out_channels, 1, nobias=True, initialW=_HE)
            self.project_bn = norm(out_channels)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = F.relu6(self.expand_bn(self.expand(x))) if hasattr(self, 'expand') else x
        if self.same:
            h = padded_same(h, self.ksize, self.stride)
        h = F.relu6(self.depthwise_bn(self.depthwise(h)))
        h = self.project_bn(self.project(h))
        return h + x if self.shortcut else h


class InvertedResidualNet(chainer.Chain):
    """A 3x3 convolution of stride 2, stages of `InvertedResidual`, a 1x1 convolution, a classifier.

    Args:
        stages: See `Stages`.
        n_class: Number of classes.
        shape: Of an image.
        upscale: Resize the images to this width in pixels first; 0: leave them alone.
        norm: Makes a batch normalization.
        same: See `InvertedResidual`; it holds for the first convolution, too.
    """

    def __init__(
        self,
        stages: Stages,
        n_class: int,
        shape: Shape,
        upscale: int,
        norm: Normalization,
        same: bool,
    ) -> None:
        super().__init__()
        self.upscale = upscale
        self.same = same
        pad = 0 if same else 1
        with self.init_scope():
            self.stem = L.Convolution2D(shape[0], 32, 3, 2, pad, nobias=True, initialW=_HE)
            self.stem_bn = norm(32)
            self.blocks = chainer.ChainList()
            self.head = L.Convolution2D(stages[-1][-1], 1280, 1, nobias=True, initialW=_HE)
            self.head_bn = norm(1280)
            self.fc = L.Linear(1280, n_class, initialW=chainer.initializers.Normal(0.01))
        channels = 32
        for n_block, ksize, stride, expansion, width in stages:
            for i in range(n_block):
                self.blocks.append(
                    InvertedResidual(
                        channels, width, ksize, 1 if i else stride, expansion, norm, same
                    )
                )
                channels = width

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = upscaled(x, self.upscale)
        if self.same:
            h = padded_same(h, 3, 2)
        h = F.relu6(self.stem_bn(self.stem(h)))
        for block in self.blocks:
            h = block(h)
        h = F.relu6(self.head_bn(self.head(h)))
        return self.fc(dropout(global_average(h), 0.2))
