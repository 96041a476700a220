"""Augmentations that change values and move no pixel."""

import dataclasses

import numpy as np

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.checks import require_number, require_whole
from chainer_cifar.data.augment.registry import Rng, augmentations


@augmentations.register('channel_shift')
@dataclasses.dataclass(frozen=True)
class ChannelShift:
    """Add a number uniform in ±limit to each channel of each image.

    Keras' ImageDataGenerator did so up to 2.1. With `shared` 1 all channels of an image get the
    same number, as in later versions. The result is clipped to the image's own smallest and largest
    value.
    """

    limit: float
    shared: int = 0

    def __post_init__(self) -> None:
        require_number('limit', self.limit, 0, 1e6)
        require_whole('shared', self.shared, 0, 1)

    def draw(self, rng: Rng, n: int, size: int) -> tuple[Array, ...]:
        """Draw what to add, float32 ``(N, 3)``, or ``(N, 1)`` if shared."""
        shape = (n, 1 if self.shared else 3)
        return (rng.uniform(-self.limit, self.limit, shape).astype(np.float32),)

    def apply(self, xp: ArrayModule, x: Array, added: Array) -> Array:
        """Add to the images and clip them."""
        values = x.reshape(len(x), -1)
        low, high = values.min(axis=1), values.max(axis=1)
        shifted = x + added[:, :, None, None]
        clipped: Array = xp.clip(shifted, low[:, None, None, None], high[:, None, None, None])
        return clipped
