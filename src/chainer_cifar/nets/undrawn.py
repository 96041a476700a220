"""Make a net without drawing its initial weights, which takes seconds for one of millions."""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import chainer
from chainer import initializers

_wanted = contextvars.ContextVar('_wanted', default=False)


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Let the nets that are made in this block, by this thread, begin with zeros for weights.

    For who counts the weights, or fills them from a file. NumPy's random state stays as it was.
    """
    token = _wanted.set(True)
    try:
        yield
    finally:
        _wanted.reset(token)


# Chainer's links ask this one function for the content of every array of weights.
_generate_array = initializers.generate_array


def _generate(initializer: Any, *args: Any, **kwargs: Any) -> Any:
    if _wanted.get():
        initializer = chainer.initializers.Zero(getattr(initializer, 'dtype', None))
    return _generate_array(initializer, *args, **kwargs)


initializers.generate_array = _generate
