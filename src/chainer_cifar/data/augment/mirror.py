"""Flip left to right."""

import dataclasses

import numpy as np

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.data.augment.registry import Rng, augmentations


@augmentations.register('mirror')
@dataclasses.dataclass(frozen=True)
class Mirror:
    """Flip each image left to right with probability 1/2 (article 000)."""

    def draw(self, rng: Rng, n: int, size: int) -> tuple[Array, ...]:
        """Draw the indices of the images to flip, ``(F,)``."""
        return (np.flatnonzero(rng.randint(2, size=n)),)

    def apply(self, xp: ArrayModule, x: Array, flipped: Array) -> Array:
        """Flip these images."""
        x = x.copy()
        x[flipped] = x[flipped, :, :, ::-1]
        return x
