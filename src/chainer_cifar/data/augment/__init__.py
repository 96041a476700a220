"""Augmentation of a whole batch at once, in NumPy or CuPy.

An augmentation is a frozen dataclass (`Augmentation`). Its fields are its arguments in
``--augment``, which ``__post_init__`` checks (ValueError). ``draw`` makes the random choices and
``apply`` carries them out, so a test can fix the choices, and a CPU and a GPU see the same
augmented pictures. To add one, write a class in a file here with
``@augmentations.register('name')``.

Pixels have the values of the data file; arguments like that of ``channel_shift`` count in these.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import TypeAlias

from chainer_cifar import language
from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.data.augment.registry import Rng, augmentations
from chainer_cifar.errors import UserError

# augment(xp, x, rng): the device's array module, float32 images (N, C, H, W), a random state;
# returns images of the same shape.
Augment: TypeAlias = Callable[[ArrayModule, Array, Rng], Array]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')

from chainer_cifar.data.augment.affine import combine  # noqa: E402 (it registers its classes)


def create(text: str) -> Augment:
    """Build what ``--augment`` says.

    Args:
        text: Steps in the order in which they are applied, such as
            ``'rotate(20)|shift(0.2)|mirror'`` (see `chainer_cifar.language`); empty or ``none``
            for no augmentation. Neighbouring affine steps become one interpolation.

    Raises:
        UserError: The text is malformed, a name is not registered, or an argument makes no sense.
    """
    try:
        steps = combine(language.build(text, augmentations))
    except ValueError as error:
        raise UserError(f"'{text}': {error}") from None

    def augment(xp: ArrayModule, x: Array, rng: Rng) -> Array:
        for step in steps:
            choices = step.draw(rng, len(x), x.shape[2])
            x = step.apply(xp, x, *(xp.asarray(choice) for choice in choices))
        return x

    return augment


def forms() -> str:
    """Show how to write each, such as ``crop(margin=4, fill=constant, value=0)``, with commas."""
    return language.forms(augmentations)
