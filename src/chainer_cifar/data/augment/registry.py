"""The augmentations by name, to which each file here adds its own, and the form that they have."""

from collections.abc import Callable
from types import ModuleType
from typing import Protocol, TypeAlias

import numpy as np

from chainer_cifar.arrays import Array
from chainer_cifar.data.store import Shape
from chainer_cifar.registry import Registry

Rng: TypeAlias = np.random.RandomState | ModuleType  # the module np.random is the global state


class Augmentation(Protocol):
    """The form of the registered classes."""

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """Draw for `n` images of the shape (C, H, W); return small NumPy arrays."""
        ...

    @property
    def apply(self) -> Callable[..., Array]:
        """The method ``apply(xp, x, *choices)``.

        It carries out what `draw` chose, brought to the device: on images `x`, float32
        ``(N, C, H, W)``, which it leaves as they are, with `xp`, their array module.
        """
        ...


augmentations = Registry[Callable[..., Augmentation]]('augmentation')
