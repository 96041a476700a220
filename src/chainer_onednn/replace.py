"""Methods of Chainer's classes that give way to ours while the engine is enabled.

``@replaces(ReLU, 'forward_cpu')`` registers ``ours(original, self, …)``. Ours looks at its inputs
and calls ``original(self, …)`` for everything that it does not do better, so whatever is unknown
behaves as if this package were not there.
"""

import functools

from chainer_onednn.dnnl import Unsupported

_replacements = []  # (class, name of the method, our function)
_marked = []  # (mark, name of the method, our function)
_replaced = []  # (class, name, what was there; _INHERITED if nothing), while installed
_INHERITED = object()


def replaces(owner, name):
    """Decorator: register a replacement of the method ``name`` of a class."""

    def register(ours):
        _replacements.append((owner, name, ours))
        return ours

    return register


def replaces_marked(mark, name):
    """Decorator, as `replaces`, for functions of other packages.

    Their classes, subclasses of `chainer.FunctionNode` made before `install`, say
    ``cpu_kernel = mark``, and define the method.
    """

    def register(ours):
        _marked.append((mark, name, ours))
        return ours

    return register


def _of_other_packages():
    from chainer import FunctionNode

    for owner in FunctionNode.__subclasses__():
        for mark, name, ours in _marked:
            if vars(owner).get('cpu_kernel') == mark:
                yield owner, name, ours


def install():
    """Put all replacements in place."""
    for owner, name, ours in (*_replacements, *_of_other_packages()):
        _replaced.append((owner, name, vars(owner).get(name, _INHERITED)))
        setattr(owner, name, _method(ours, getattr(owner, name)))


def remove():
    """Give every class its own methods back."""
    while _replaced:
        owner, name, original = _replaced.pop()
        if original is _INHERITED:
            delattr(owner, name)
        else:
            setattr(owner, name, original)


def _method(ours, original):
    from chainer import config  # not at the top: the package can be asked what it finds without it

    @functools.wraps(original)
    def method(*args, **kwargs):
        if config.schedule_func is not None:  # Chainer records a static graph
            return original(*args, **kwargs)
        try:
            return ours(original, *args, **kwargs)
        except Unsupported:
            return original(*args, **kwargs)

    return method
