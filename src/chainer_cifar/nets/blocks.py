"""Pieces that several nets are made of."""

import math

import chainer
import chainer.functions as F
import chainer.links as L


class BatchConv2D(chainer.Chain):
    """Convolution (with bias), batch normalization, ReLU, as article 000 defines it.

    `activation` may be another function in place of the ReLU, or None.
    """

    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0, activation=F.relu):
        super().__init__()
        self.activation = activation
        with self.init_scope():
            self.conv = L.Convolution2D(in_channels, out_channels, ksize, stride, pad)
            self.bn = L.BatchNormalization(out_channels)

    def forward(self, x):
        h = self.bn(self.conv(x))
        return self.activation(h) if self.activation else h


def dropout(x, ratio=0.5):
    """`F.dropout` that a run's seed decides on a GPU, too; nets take this one.

    cuDNN, which Chainer would ask there, has random numbers of its own, seeded by the system once
    a process, so that no run could be repeated or resumed. Without it the mask comes from CuPy's.
    """
    with chainer.using_config('use_cudnn', 'never'):
        return F.dropout(x, ratio)


# What Keras' layers begin with unless told otherwise; biases are 0 in both.
KERAS_INITIAL = chainer.initializers.GlorotUniform()


def keras_normalization(channels):
    """Batch normalization with Keras' constants: momentum 0.99, eps 1e-3."""
    return L.BatchNormalization(channels, decay=0.99, eps=1e-3)


def upscaled(x, size):
    """Images resized to `size` x `size` pixels, bilinearly; as they are where `size` is 0.

    For nets made for larger images than CIFAR's. Pixel centres are half a pixel from the edge, and
    outside the outermost ones the edge is repeated, as in OpenCV and TensorFlow 2.

    Args:
        x: float32 (N, C, H, W).
        size (int): Height and width to come.
    """
    if not size:
        return x
    return F.resize_images(x, (size, size), mode='bilinear', align_corners=False)


def padded_same(x, ksize, stride):
    """Zeros around images ``(N, C, H, W)`` as TensorFlow's padding 'same' sets them.

    After a convolution without padding of its own, a side of n is ceil(n / stride). Where the zeros
    are odd in number, the one more is at the bottom and right: (0, 1) for ksize 3, stride 2 and
    even n, while ``pad=1`` would put one on each side and shift the image.
    """
    zeros = [max((math.ceil(side / stride) - 1) * stride + ksize - side, 0) for side in x.shape[2:]]
    return F.pad(x, ((0, 0), (0, 0), *((n // 2, n - n // 2) for n in zeros)), 'constant')
