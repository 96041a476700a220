"""All figures that the commands draw; the first use of one loads matplotlib, which takes a while.

Most commands draw at their end, or not at all, and should begin at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chainer_cifar.figures.drawn import *  # noqa: F403


def __getattr__(name: str) -> Any:
    if name.startswith('_'):  # importlib asks for __path__ and the like
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'{__name__}.drawn'), name)
