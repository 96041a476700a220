"""Augmentation of a whole batch at once, in NumPy or CuPy.

An augmentation is a frozen dataclass (`Augmentation`). Its fields are its arguments in
``--augment``, which ``__post_init__`` checks (ValueError). ``draw`` makes the random choices and
``apply`` carries them out, so a test can fix the choices, and a CPU and a GPU see the same
augmented pictures. To add one, write a class in a file here with
``@augmentations.register('name')``. `kinds.py` has base classes for those that need more.

Pixels have the values of the data file; arguments like that of ``channel_shift`` count in these.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from chainer_cifar import language
from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.data.augment.kinds import InPixels, Known, Mix, OfColours
from chainer_cifar.data.augment.registry import Rng, augmentations
from chainer_cifar.data.store import Shape
from chainer_cifar.errors import UserError, command_line

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')

from chainer_cifar.data.augment.affine import combine  # noqa: E402 (it registers its classes)


class Batch(NamedTuple):
    """Images and what is known of them: x and t lie on the device, number and epoch on the host."""

    x: Array  # float32 (N, C, H, W)
    t: Array  # labels, integers (N,)
    number: Array  # which of the training images each is
    epoch: Array  # in which epoch each is seen, from 0


# augment(xp, batch, rng): the device's array module, a Batch, a random state; returns images of the
# same shape and their labels. If a step mixes images, the labels are shares of each class, float32
# (N, K).
Augment: TypeAlias = Callable[[ArrayModule, Batch, Rng], tuple[Array, Array]]


def create(
    text: str,
    seed: int = 0,
    n_class: int = 10,
    black: float | None = 0.0,
    shape: Shape | None = None,
) -> Augment:
    """Build what ``--augment`` says.

    Args:
        text: Steps in the order in which they are applied, such as
            ``'rotate(20)|shift(0.2)|mirror'`` (see `chainer_cifar.language`); empty or ``none``
            for no augmentation. Neighbouring affine steps become one interpolation.
        seed: Seed of the run.
        n_class: Number of classes.
        black: The value of a black pixel, where white is 255 more; None if that is not known.
        shape: Of the images, (C, H, W); None if that is not known.

    Raises:
        UserError: The text is malformed, a name is not registered, an argument makes no sense (for
            images of that shape), or a step acts on colours and the images have none.
    """
    try:
        steps = combine(language.build(text, augmentations))
        for step in steps:
            if shape is not None and isinstance(step, InPixels):
                step.require_shape(shape)
    except ValueError as error:
        raise UserError(f"'{text}': {error}") from None
    if black is None:
        _refuse_colours(text)
    mixes = any(isinstance(step, Mix) for step in steps)

    def augment(xp: ArrayModule, batch: Batch, rng: Rng) -> tuple[Array, Array]:
        x, t = batch.x, batch.t
        if mixes:
            t = (t[:, None] == xp.arange(n_class)).astype(np.float32)
        for step in steps:
            if isinstance(step, Known):
                choices = step.draw_known(seed, batch.number, batch.epoch)
            else:
                choices = step.draw(rng, len(x), x.shape[1:])
            choices = tuple([xp.asarray(choice) for choice in choices])
            if isinstance(step, OfColours) and black:
                x = step.apply(xp, x - np.float32(black), *choices) + np.float32(black)
            else:
                x = step.apply(xp, x, *choices)
            if isinstance(step, Mix):
                t = step.mix(t, *choices)
        return x, t

    return augment


def _refuse_colours(text: str) -> None:
    for name in language.names(text):
        if issubclass(augmentations[name], OfColours):  # type: ignore[arg-type]  # all are classes
            raise UserError(
                f"'{name}': acts on colours of 0 to 255; give -d dataset/image_raw.pkl or "
                f'dataset/image.pkl (made by: {command_line("dataset --only raw,mean")})'
            )


def forms() -> str:
    """Show how to write each, such as ``crop(margin=4, fill=constant, value=0)``, with commas."""
    return language.forms(augmentations)
