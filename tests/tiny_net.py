"""A net of every kind of link that weights are read for, small enough to train in a test."""

import chainer
import chainer.functions as F
import chainer.links as L


class Tiny(chainer.Chain):
    """(N, 2, 6, 6) to (N, n_class): convolution, depthwise convolution, two dense layers."""

    def __init__(self, n_class=3):
        super().__init__()
        self.flattened = {'fc1': (4, 3, 3)}
        with self.init_scope():
            self.conv1 = L.Convolution2D(2, 4, 3, pad=1)
            self.conv1_bn = L.BatchNormalization(4)
            self.dw = L.Convolution2D(4, 4, 3, 2, 1, nobias=True, groups=4)
            self.dw_bn = L.BatchNormalization(4)
            self.fc1 = L.Linear(36, 5)
            self.fc2 = L.Linear(5, n_class)

    def forward(self, x):
        h = F.relu(self.conv1_bn(self.conv1(x)))
        h = F.relu(self.dw_bn(self.dw(h)))
        return self.fc2(F.relu(self.fc1(h)))
