"""The nets, by name. To add one, write a file here with a class ``@nets.register('name')``.

A net is a plain `chainer.Chain`. Its ``__init__`` takes ``n_class`` and those of the `OPTIONS` that
it understands. Its ``forward`` turns float32 images ``(N, 3, 32, 32)`` into logits
``(N, n_class)``; like Chainer's functions it takes an array in place of a variable, too.
``--help``, ``--list_models`` and the tests that walk every net find it by themselves.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable

import chainer

from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry

nets = Registry[Callable[..., chainer.Chain]]('net')

# Flags that are passed on to the nets that have a parameter of that name.
OPTIONS = ('res_depth', 'res_width', 'skip_depth', 'swapout', 'pyramid_alpha', 'upscale')


def create(name: str, n_class: int = 10, **options: int) -> chainer.Chain:
    """Build the net `name`.

    Args:
        name: A registered name.
        n_class: Number of classes.
        options: Values for some of `OPTIONS`.

    Raises:
        UserError: There is no such net, or it does not have such an option.
    """
    build = nets[name]
    for option in options:
        if name not in taking(option):
            raise UserError(f"--{option} has no meaning for net '{name}'; leave it out")
    return build(n_class=n_class, **options)


def taking(option: str) -> list[str]:
    """Return the names of the nets that have the option."""
    return [name for name, net in nets.items() if option in inspect.signature(net).parameters]


def describe(name: str) -> str:
    """Return the first line of the net's docstring."""
    return (inspect.getdoc(nets[name]) or '').splitlines()[0]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
