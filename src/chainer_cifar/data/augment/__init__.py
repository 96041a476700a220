"""Augmentation of a whole batch at once, in NumPy or CuPy.

An augmentation is a frozen dataclass. Its fields are its arguments in ``--augment``, checked in
``__post_init__`` (ValueError). What it does is split in two: ``draw(rng, n, size)`` makes the
random choices for n images of size x size pixels, as small NumPy arrays on the host;
``apply(xp, x, *choices)`` carries them out on the device, in its array module, and leaves `x` as it
is. So a test can fix the choices, and a CPU and a GPU see the same augmented pictures.
To add one: a class in a file here with ``@augmentations.register('name')``.

The values are those of the data file; numbers like that of ``channel_shift`` are in their unit.
"""

import importlib
import pkgutil

from chainer_cifar import language
from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry

augmentations = Registry('augmentation')

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')

from chainer_cifar.data.augment.affine import combine  # noqa: E402 (it registers its classes)


def create(text):
    """Build what ``--augment`` says.

    Args:
        text: Steps in the order in which they are applied, such as
            ``'rotate(20)|shift(0.2)|mirror'`` (see `chainer_cifar.language`); empty or ``none``
            for no augmentation. Neighbouring affine ones are one interpolation.

    Returns:
        A function ``augment(xp, x, rng)`` of the device's array module, float32 images
        ``(N, C, H, W)`` and a NumPy random state, that returns images of the same shape.

    Raises:
        UserError: The text cannot be read, a name is not registered, an argument makes no sense.
    """
    try:
        steps = combine(language.build(text, augmentations, '--augment'))
    except ValueError as error:
        raise UserError(f"--augment '{text}': {error}") from None

    def augment(xp, x, rng):
        for step in steps:
            choices = step.draw(rng, len(x), x.shape[2])
            x = step.apply(xp, x, *(xp.asarray(choice) for choice in choices))
        return x

    return augment


def forms():
    """How each is written, such as ``crop(margin=4, fill=constant, value=0)``, with commas."""
    return language.forms(augmentations)
