"""Changes of the values, not of where they are."""

import dataclasses

import numpy as np

from chainer_cifar.checks import require_number, require_whole
from chainer_cifar.data.augment.registry import augmentations


@augmentations.register('channel_shift')
@dataclasses.dataclass(frozen=True)
class ChannelShift:
    """Add a number that is uniform in ±limit to each channel of each image.

    Keras' ImageDataGenerator up to 2.1; with `shared` 1 there is one number for all channels of an
    image, as in later versions. The result is clipped to the image's own least and greatest value.
    """

    limit: float
    shared: int = 0

    def __post_init__(self):
        require_number('limit', self.limit, 0, 1e6)
        require_whole('shared', self.shared, 0, 1)

    def draw(self, rng, n, size):
        """What to add, float32 ``(N, 3)``, or ``(N, 1)`` if shared."""
        shape = (n, 1 if self.shared else 3)
        return (rng.uniform(-self.limit, self.limit, shape).astype(np.float32),)

    def apply(self, xp, x, added):
        values = x.reshape(len(x), -1)
        low, high = values.min(axis=1), values.max(axis=1)
        shifted = x + added[:, :, None, None]
        return xp.clip(shifted, low[:, None, None, None], high[:, None, None, None])
