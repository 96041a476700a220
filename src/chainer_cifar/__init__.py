"""Train CIFAR image classifiers with Chainer, on a GPU or a CPU."""

from chainer_cifar import compat

compat.apply()

__version__ = '0.1.0'
