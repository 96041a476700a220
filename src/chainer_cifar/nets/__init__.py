"""The nets, by name. To add one: a file here, a class with ``@register('name')``, done.

A net is a plain `chainer.Chain` whose ``__init__`` takes ``n_class`` and the options that it
understands, and whose ``forward`` turns float32 images ``(N, 3, 32, 32)`` into logits
``(N, n_class)``. ``--help``, ``--list_models`` and the tests that walk every net find it by
themselves. An option is a parameter of a net; the flag of its name is a field of `TrainConfig`.
A net whose first weights are computed from images has ``prepare(images)``, too, to be called once
with some images of the training set, as `forward` takes them, before anything else.
"""

import importlib
import inspect
import pkgutil

from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry

registry = Registry('net')
register = registry.register


def create(name, n_class=10, **options):
    """Build the net `name`.

    Args:
        name (str): A registered name.
        n_class (int): Number of classes.
        options: Some of `option_names`.

    Raises:
        UserError: No such net, or an option that this net does not have.
    """
    build = registry[name]
    for option in options:
        if name not in taking(option):
            raise UserError(f"{option} has no meaning for net '{name}'; leave it out")
    return build(n_class=n_class, **options)


def option_names():
    """The names of all options that some net takes."""
    found = {name for net in registry.values() for name in inspect.signature(net).parameters}
    return sorted(found - {'n_class'})


def taking(option):
    """Names of the nets that have this one of `option_names`."""
    return [name for name, net in registry.items() if option in inspect.signature(net).parameters]


def describe(name):
    """First line of the net's docstring."""
    return inspect.getdoc(registry[name]).splitlines()[0]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
