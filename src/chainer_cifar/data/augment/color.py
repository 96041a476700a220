"""Augmentations that change values and move no pixel."""

import dataclasses

import numpy as np

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.checks import require_number, require_whole
from chainer_cifar.data.augment.kinds import OfColours
from chainer_cifar.data.augment.photo import recolour
from chainer_cifar.data.augment.registry import Rng, augmentations
from chainer_cifar.data.store import Shape


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

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """Draw what to add, float32 ``(N, C)``, or ``(N, 1)`` if shared."""
        size = (n, 1 if self.shared else shape[0])
        return (rng.uniform(-self.limit, self.limit, size).astype(np.float32),)

    def apply(self, xp: ArrayModule, x: Array, added: Array) -> Array:
        """Add to the images and clip them."""
        values = x.reshape(len(x), -1)
        low, high = values.min(axis=1), values.max(axis=1)
        shifted = x + added[:, :, None, None]
        return xp.clip(shifted, low[:, None, None, None], high[:, None, None, None])


@augmentations.register('jitter')
@dataclasses.dataclass(frozen=True)
class Jitter(OfColours):
    """Change brightness, contrast, saturation and hue of each image, in this order.

    The first three are factors, uniform in 1 ± the argument, from 0 up; hue is a turn, uniform in
    ± the argument, where 1 is the whole circle. See `photo.recolour`. torchvision's ColorJitter
    does the same in random order, cuts off after each, and turns the hue in HSV.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1

    def __post_init__(self) -> None:
        for name in ('brightness', 'contrast', 'saturation'):
            require_number(name, getattr(self, name), 0, 10)
        require_number('hue', self.hue, 0, 0.5)

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """Draw factors of brightness, contrast, saturation; turns of hue; float32 ``(N,)`` each."""
        spread = np.array([[self.brightness], [self.contrast], [self.saturation]])
        factors = rng.uniform(np.maximum(0, 1 - spread), 1 + spread, (3, n)).astype(np.float32)
        return *factors, rng.uniform(-self.hue, self.hue, n).astype(np.float32)

    def apply(self, xp: ArrayModule, x: Array, *choices: Array) -> Array:
        """Change the colours."""
        return recolour(xp, x, *choices)
