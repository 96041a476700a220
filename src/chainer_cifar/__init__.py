"""Train CIFAR image classifiers with Chainer, on a GPU or a CPU.

In Python: ``from chainer_cifar import fit, load``; see api.py, which is imported when it is used.
"""

import importlib
from typing import Any

import chainer_compat  # noqa: F401 - lets Chainer import

__version__ = '0.1.0'

_OF_API = ('fit', 'load')


def __getattr__(name: str) -> Any:
    if name in _OF_API:
        return getattr(importlib.import_module('chainer_cifar.api'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
