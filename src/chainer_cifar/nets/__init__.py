"""The nets, by name. To add one, write a file here with a class ``@register('name')``.

A net is a plain `chainer.Chain`. Its ``__init__`` takes ``n_class`` and the options that it
understands; the flag of an option's name is a field of `TrainConfig`. Its ``forward`` turns float32
images ``(N, 3, 32, 32)`` into logits ``(N, n_class)``; like Chainer's functions it takes an array
in place of a variable, too. ``--help``, ``--list_models`` and the tests that walk every net find it
by themselves.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable

import chainer

from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry

registry = Registry[Callable[..., chainer.Chain]]('net')
register = registry.register


def create(name: str, n_class: int = 10, **options: int) -> chainer.Chain:
    """Build the net `name`.

    Args:
        name: A registered name.
        n_class: Number of classes.
        options: Values for some of `option_names`.

    Raises:
        UserError: There is no such net, or it does not have such an option.
    """
    build = registry[name]
    for option in options:
        if name not in taking(option):
            raise UserError(f"{option} has no meaning for net '{name}'; leave it out")
    return build(n_class=n_class, **options)


def option_names() -> list[str]:
    """Return the names of all options that some net takes, sorted."""
    found = {name for net in registry.values() for name in inspect.signature(net).parameters}
    return sorted(found - {'n_class'})


def taking(option: str) -> list[str]:
    """Return the names of the nets that have this one of `option_names`."""
    return [name for name, net in registry.items() if option in inspect.signature(net).parameters]


def describe(name: str) -> str:
    """Return the first line of the net's docstring."""
    return (inspect.getdoc(registry[name]) or '').splitlines()[0]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
