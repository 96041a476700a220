"""The nets, by name. To add one, write a file here with a class ``@register('name')``.

A net is a plain `chainer.Chain`. Its ``__init__`` takes ``n_class``, ``shape`` and the options that
it understands; the flag of an option's name is a field of `TrainConfig`. Its ``forward`` turns
float32 images ``(N, *shape)`` into logits ``(N, n_class)``; like Chainer's functions it takes an
array in place of a variable, too. A net that small images leave without a pixel has the attribute
``least_side``: the least height and width in pixels. One that takes no ``shape`` is for images of
CIFAR's shape alone. A net whose first weights are computed from images has
``prepare(images)``, too: it is called once, before anything else, with some images of the training
set, as `forward` takes them. ``--help``, ``--list_models`` and the tests that walk every net find
it by themselves.
"""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable
from typing import Any, TypeAlias

import chainer

from chainer_cifar.data import store
from chainer_cifar.data.store import in_words
from chainer_cifar.errors import UserError
from chainer_cifar.nets.blocks import upscaled_size
from chainer_cifar.registry import Registry

Shape: TypeAlias = store.Shape  # of an image: channels (3, or 1 for grey), height, width

CIFAR = store.CIFAR_SHAPE

registry = Registry[Callable[..., chainer.Chain]]('net')
register = registry.register


def create(name: str, n_class: int = 10, shape: Shape = CIFAR, **options: Any) -> chainer.Chain:
    """Build the net `name`.

    Args:
        name: A registered name.
        n_class: Number of classes.
        shape: Of an image.
        options: Values for some of `option_names`.

    Raises:
        UserError: There is no such net, or it does not have such an option or take such a shape.
    """
    build = registry[name]
    for option in options:
        if name not in taking(option):
            raise UserError(f"{option} has no meaning for net '{name}'; leave it out")
    require_shape(name, shape, options.get('upscale', 0))
    if name in taking('shape'):
        options['shape'] = shape
    return build(n_class=n_class, **options)


def require_shape(name: str, shape: Shape, upscale: int = 0) -> None:
    """Raise UserError if the net `name` does not take images of this shape.

    Args:
        name: A registered name.
        shape: Of an image, before `upscale`.
        upscale: The option of that name.
    """
    _, height, width = shape
    if shape != CIFAR and name not in taking('shape'):
        raise UserError(f'model {name}: is for 32x32 in colour, not {in_words(shape)}')
    if 0 < upscale < width:
        raise UserError(f'upscale {upscale}: the images are {width} pixels wide already')
    least = least_side(name)
    if min(upscaled_size((height, width), upscale)) < least:
        enough = math.ceil(least * max(1, width / height))
        hint = f', or --upscale {enough}' if name in taking('upscale') else ''
        raise UserError(
            f'model {name}: needs {least}x{least} pixels or more, not {in_words(shape)}; give '
            f'another net{hint}'
        )


def least_side(name: str) -> int:
    """Return the least height and width in pixels that the net takes."""
    least: int = getattr(registry[name], 'least_side', 1)
    return least


def option_names() -> list[str]:
    """Return the names of all options that some net takes, sorted."""
    found = {name for net in registry.values() for name in inspect.signature(net).parameters}
    return sorted(found - {'n_class', 'shape'})


def taking(option: str) -> list[str]:
    """Return the names of the nets that have this one of `option_names`."""
    return [name for name, net in registry.items() if option in inspect.signature(net).parameters]


def describe(name: str) -> str:
    """Return the first line of the net's docstring."""
    # `python -OO` leaves docstrings out.
    return (inspect.getdoc(registry[name]) or '').partition('\n')[0]


for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')
