"""Article 004's VGG16, without and with batch normalization. Links are named like Keras' layers."""

import math

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.blocks import (
    KERAS_INITIAL,
    dropout,
    keras_normalization,
    upscaled,
    upscaled_size,
)

_CHANNELS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


@register('vgg16')
class VGG16(chainer.Chain):
    """Simonyan and Zisserman's net D, as article 004 has it, for images of any size.

    Args:
        n_class: Number of classes.
        shape: Of an image.
        upscale: Resize the images to this width in pixels first, 224 as in the paper; 0: leave them
            alone. (The article's code resizes them, and then goes on with the small ones.)
    """

    normalize = False

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR, upscale: int = 0) -> None:
        super().__init__()
        self.upscale = upscale
        size = upscaled_size(shape[1:], upscale)
        height, width = (math.ceil(side / 2 ** len(_CHANNELS)) for side in size)
        # Shape (C, H, W) of the input that a layer flattens; Keras flattens it in order H, W, C.
        self.flattened = {'fc1': (512, height, width)}
        in_channels = shape[0]
        with self.init_scope():
            for block, layers in enumerate(_CHANNELS, 1):
                for number, channels in enumerate(layers, 1):
                    name = f'block{block}_conv{number}'
                    conv = L.Convolution2D(in_channels, channels, 3, pad=1, initialW=KERAS_INITIAL)
                    setattr(self, name, conv)
                    if self.normalize:
                        setattr(self, f'{name}_bn', keras_normalization(channels))
                    in_channels = channels
            self.fc1 = L.Linear(512 * height * width, 4096, initialW=KERAS_INITIAL)
            self.fc2 = L.Linear(4096, 4096, initialW=KERAS_INITIAL)
            self.predictions = L.Linear(4096, n_class, initialW=KERAS_INITIAL)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = upscaled(x, self.upscale)
        for block, layers in enumerate(_CHANNELS, 1):
            for number, _ in enumerate(layers, 1):
                name = f'block{block}_conv{number}'
                h = F.relu(self[name](h))
                if self.normalize:
                    h = self[f'{name}_bn'](h)
            h = F.max_pooling_2d(h, 2)
        h = dropout(F.relu(self.fc1(h)))
        h = dropout(F.relu(self.fc2(h)))
        return self.predictions(h)


@register('vgg16bn')
class VGG16BN(VGG16):
    """`vgg16` with batch normalization after the ReLU of each convolution (article 004)."""

    normalize = True
