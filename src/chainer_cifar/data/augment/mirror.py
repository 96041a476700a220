"""Left for right."""

import dataclasses

import numpy as np

from chainer_cifar.data.augment.registry import augmentations


@augmentations.register('mirror')
@dataclasses.dataclass(frozen=True)
class Mirror:
    """Flip each image left to right with probability 1/2 (article 000)."""

    def draw(self, rng, n, size):
        """Which images to flip, integers ``(F,)``."""
        return (np.flatnonzero(rng.randint(2, size=n)),)

    def apply(self, xp, x, flipped):
        x = x.copy()
        x[flipped] = x[flipped, :, :, ::-1]
        return x
