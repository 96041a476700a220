"""Train CIFAR image classifiers with Chainer, on a GPU or a CPU."""

import chainer_compat  # noqa: F401 - lets Chainer import

__version__ = '0.1.0'
