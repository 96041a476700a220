"""The nets, by name. To add one: a file here, a class with ``@nets.register('name')``, done.

A net is a plain `chainer.Chain` whose ``__init__`` takes ``n_class`` and any of the options in
`OPTIONS` (it names those it understands), and whose ``forward`` turns float32 images
``(N, 3, 32, 32)`` into logits ``(N, n_class)``. ``--help``, ``--list_models`` and the tests that
walk every net find it by themselves.
"""

import importlib
import inspect
import pkgutil

from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry

nets = Registry('net')

# Command-line flags that are passed on to the nets that take an argument of that name.
OPTIONS = ('res_depth', 'res_width', 'skip_depth', 'swapout', 'pyramid_alpha', 'upscale')


def create(name, n_class=10, **options):
    """Build the net `name`.

    Args:
        name (str): A registered name.
        n_class (int): Number of classes.
        options: Some of `OPTIONS`.

    Raises:
        UserError: No such net, or an option that this net does not have.
    """
    build = nets[name]
    for option in options:
        if name not in taking(option):
            raise UserError(f"--{option} has no meaning for net '{name}'; leave it out")
    return build(n_class=n_class, **options)


def taking(option):
    """Names of the nets that have this one of `OPTIONS`."""
    return [name for name, net in nets.items() if option in inspect.signature(net).parameters]


def describe(name):
    """First line of the net's docstring."""
    return inspect.getdoc(nets[name]).splitlines()[0]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
