"""Pieces that several nets are made of."""

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
