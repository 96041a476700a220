"""Pieces that several nets are made of."""

import chainer
import chainer.functions as F
import chainer.links as L


class BatchConv2D(chainer.Chain):
    """Convolution (with bias), batch normalization, ReLU, as article 000 defines it."""

    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(in_channels, out_channels, ksize, stride, pad)
            self.bn = L.BatchNormalization(out_channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


# What Keras' layers begin with unless told otherwise; biases are 0 in both.
KERAS_INITIAL = chainer.initializers.GlorotUniform()


def keras_normalization(channels):
    """Batch normalization with Keras' constants: momentum 0.99, eps 1e-3."""
    return L.BatchNormalization(channels, decay=0.99, eps=1e-3)


def upscaled(x, size):
    """The images `x` (N, C, H, W), bilinearly resized to `size` x `size`; 0 leaves them as is."""
    return F.resize_images(x, (size, size), align_corners=False) if size else x
