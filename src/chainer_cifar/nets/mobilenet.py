"""MobileNet v1, layer for layer the one of Keras that article 001 fine-tunes."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import register
from chainer_cifar.nets.blocks import KERAS_INITIAL, keras_normalization, upscaled

# Channels after each of the 13 pairs of a depthwise and a pointwise convolution.
WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
HALVING = (2, 4, 6, 12)  # numbers of the pairs of stride 2, from 1


@register('mobilenet')
class MobileNet(chainer.Chain):
    """MobileNet v1, 28 layers of depthwise and pointwise convolutions (article 001).

    Howard et al., MobileNets, 2017. The links have the names of Keras' layers, so that
    ``--init mobilenet_1_0_224_tf_no_top.h5`` finds them; those weights want images as x/127.5 - 1.

    Args:
        n_class (int): Number of classes.
        upscale (int): Side in pixels to which the images are resized first; 0: as they are.
    """

    input_normalization = 'symmetric'

    def __init__(self, n_class=10, upscale=0):
        super().__init__()
        self.upscale = upscale
        with self.init_scope():
            self.conv1 = _convolution(3, 32, 3, 2)
            self.conv1_bn = keras_normalization(32)
            self.fc = L.Linear(WIDTHS[-1], n_class, initialW=KERAS_INITIAL)
        channels = 32
        for i, width in enumerate(WIDTHS, 1):
            stride, pad = (2, 0) if i in HALVING else (1, 1)
            self.add_link(
                f'conv_dw_{i}', _convolution(channels, channels, 3, stride, pad, channels)
            )
            self.add_link(f'conv_dw_{i}_bn', keras_normalization(channels))
            self.add_link(f'conv_pw_{i}', _convolution(channels, width, 1))
            self.add_link(f'conv_pw_{i}_bn', keras_normalization(width))
            channels = width

    def forward(self, x):
        h = self._unit('conv1', _padded(upscaled(x, self.upscale)))
        for i in range(1, len(WIDTHS) + 1):
            h = self._unit(f'conv_dw_{i}', _padded(h) if i in HALVING else h)
            h = self._unit(f'conv_pw_{i}', h)
        return self.fc(F.average_pooling_2d(h, h.shape[2:]))

    def _unit(self, name, x):
        return F.relu6(self[f'{name}_bn'](self[name](x)))


def _convolution(in_channels, out_channels, ksize, stride=1, pad=0, groups=1):
    channels = in_channels, out_channels
    kwargs = {'nobias': True, 'initialW': KERAS_INITIAL, 'groups': groups}
    return L.Convolution2D(*channels, ksize, stride, pad, **kwargs)


def _padded(x):
    # What Keras puts before a stride of 2, at any size: one row of zeros below, one column right.
    return F.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)), 'constant')
