"""Replace methods of Chainer's classes by ours while the engine is enabled.

``@replaces(ReLU, 'forward_cpu')`` registers ``ours(original, self, …)``. Ours looks at its inputs
and calls ``original(self, …)`` for everything that it does not do better, so inputs that it does
not know behave as without this package.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar

from chainer_onednn.dnnl import Unsupported
from chainer_onednn.hints import Original

T = TypeVar('T', bound=Callable[..., Any])
Replacement: TypeAlias = tuple[Any, str, Callable[..., Any]]

_replacements: list[Replacement] = []  # (class, name of the method, our function)
_marked: list[tuple[str, str, Callable[..., Any]]] = []  # (mark, name of the method, our function)
_replaced: list[
    tuple[Any, str, Any]
] = []  # (class, name, what was there; _INHERITED if nothing), while installed
_INHERITED = object()


def replaces(owner: Any, name: str) -> Callable[[T], T]:
    """Make a decorator that registers a replacement for the method `name` of the class `owner`."""

    def register(ours: T) -> T:
        _replacements.append((owner, name, ours))
        return ours

    return register


def replaces_marked(mark: str, name: str) -> Callable[[T], T]:
    """Make such a decorator for functions of other packages.

    Their classes, subclasses of `chainer.FunctionNode` made before `install`, have an attribute
    ``cpu_kernel = mark``, and define the method.
    """

    def register(ours: T) -> T:
        _marked.append((mark, name, ours))
        return ours

    return register


def _of_other_packages() -> Iterator[Replacement]:
    from chainer import FunctionNode

    for owner in FunctionNode.__subclasses__():
        for mark, name, ours in _marked:
            if vars(owner).get('cpu_kernel') == mark:
                yield owner, name, ours


def install() -> None:
    """Put all replacements in place."""
    for owner, name, ours in (*_replacements, *_of_other_packages()):
        _replaced.append((owner, name, vars(owner).get(name, _INHERITED)))
        setattr(owner, name, _method(ours, getattr(owner, name)))


def remove() -> None:
    """Give every class its own methods back."""
    while _replaced:
        owner, name, original = _replaced.pop()
        if original is _INHERITED:
            delattr(owner, name)
        else:
            setattr(owner, name, original)


def _method(ours: Callable[..., Any], original: Original) -> Callable[..., Any]:
    # Not at the top, since one can ask the package what it finds without Chainer.
    from chainer import config

    @functools.wraps(original)
    def method(*args: Any, **kwargs: Any) -> Any:
        if config.schedule_func is not None:  # Chainer records a static graph
            return original(*args, **kwargs)
        try:
            return ours(original, *args, **kwargs)
        except Unsupported:
            return original(*args, **kwargs)

    return method
