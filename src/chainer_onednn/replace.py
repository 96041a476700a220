"""Methods of Chainer's classes that give way to ours while the engine is enabled.

``@replaces(ReLU, 'forward_cpu')`` registers ``ours(original, self, …)``. Ours looks at its inputs
and calls ``original(self, …)`` for everything that it does not do better, so whatever is unknown
behaves as if this package were not there.
"""

import functools

from chainer_onednn.dnnl import Unsupported

_replacements = []


def replaces(owner, name):
    """Decorator: register a replacement of the attribute ``name`` of a class or module."""

    def register(ours):
        original = vars(owner).get(name)
        inherited = original is None
        call = original if not inherited else getattr(owner, name)

        @functools.wraps(call)
        def method(*args, **kwargs):
            try:
                return ours(call, *args, **kwargs)
            except Unsupported:
                return call(*args, **kwargs)

        _replacements.append((owner, name, inherited, original, method))
        return ours

    return register


def install():
    """Put all replacements in place."""
    for owner, name, _, _, method in _replacements:
        setattr(owner, name, method)


def remove():
    """Give every class its own methods back."""
    for owner, name, inherited, original, _ in _replacements:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)
