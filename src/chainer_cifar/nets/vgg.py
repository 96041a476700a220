"""Article 000's VGG-like net."""

import chainer
import chainer.functions as F
import chainer.links as L

from chainer_cifar.nets import nets
from chainer_cifar.nets.blocks import BatchConv2D


@nets.register('vgg')
class VGG(chainer.Chain):
    """Eight 3x3 convolutions with batch normalization, three fully connected layers (article 000).

    After the net of "Kaggle CIFAR-10" (94.15 % there), with batch normalization.
    """

    def __init__(self, n_class=10):
        super().__init__()
        with self.init_scope():
            self.bconv1_1 = BatchConv2D(3, 64, 3, pad=1)
            self.bconv1_2 = BatchConv2D(64, 64, 3, pad=1)
            self.bconv2_1 = BatchConv2D(64, 128, 3, pad=1)
            self.bconv2_2 = BatchConv2D(128, 128, 3, pad=1)
            self.bconv3_1 = BatchConv2D(128, 256, 3, pad=1)
            self.bconv3_2 = BatchConv2D(256, 256, 3, pad=1)
            self.bconv3_3 = BatchConv2D(256, 256, 3, pad=1)
            self.bconv3_4 = BatchConv2D(256, 256, 3, pad=1)
            self.fc4 = L.Linear(4 * 4 * 256, 1024)
            self.fc5 = L.Linear(1024, 1024)
            self.fc6 = L.Linear(1024, n_class)

    def forward(self, x):
        h = self.bconv1_2(self.bconv1_1(x))
        h = F.dropout(F.max_pooling_2d(h, 2), 0.25)
        h = self.bconv2_2(self.bconv2_1(h))
        h = F.dropout(F.max_pooling_2d(h, 2), 0.25)
        h = self.bconv3_4(self.bconv3_3(self.bconv3_2(self.bconv3_1(h))))
        h = F.dropout(F.max_pooling_2d(h, 2), 0.25)
        h = F.relu(self.fc4(F.dropout(h)))
        h = F.relu(self.fc5(F.dropout(h)))
        return self.fc6(h)
