"""Paint over rectangles."""

import dataclasses
import math

import numpy as np

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.checks import require_whole
from chainer_cifar.data.augment.registry import Rng, augmentations


@augmentations.register('erase')
@dataclasses.dataclass(frozen=True)
class Erase:
    """With probability 1/2, paint a rectangle of one random value (Zhong et al., 2017).

    As in the original project the rectangle covers 2 to 40 % of the image and its aspect ratio is
    log-uniform in 1/3 to 3. The value is uniform in ±128 there, for mean-subtracted CIFAR-10. Here
    it is uniform in ±2 standard deviations about the mean of the batch, which is the same for those
    images and suits images of any scale.
    """

    def draw(self, rng: Rng, n: int, size: int) -> tuple[Array, ...]:
        """Draw top, left, bottom, right, integers, and value in standard deviations, ``(N,)`` each.

        An image that stays as it is has an empty rectangle.
        """
        box = np.zeros((4, n), np.int64)
        todo = np.flatnonzero(rng.randint(2, size=n))
        while len(todo):
            area = rng.uniform(0.02, 0.4, len(todo)) * size * size
            aspect = np.exp(rng.uniform(-math.log(3), math.log(3), len(todo)))
            height = np.sqrt(area * aspect).astype(np.int64)
            width = np.sqrt(area / aspect).astype(np.int64)
            top, left = rng.randint(size, size=(2, len(todo)))
            fits = (top + height < size) & (left + width < size)
            found = np.stack([top, left, top + height, left + width])
            box[:, todo[fits]] = found[:, fits]
            todo = todo[~fits]
        return (*box, rng.uniform(-2, 2, n).astype(np.float32))

    def apply(
        self,
        xp: ArrayModule,
        x: Array,
        top: Array,
        left: Array,
        bottom: Array,
        right: Array,
        value: Array,
    ) -> Array:
        """Paint the rectangles."""
        value = x.mean() + value * x.std()
        return _paint(xp, x, (top, left, bottom, right), value[:, None, None, None])


@augmentations.register('cutout')
@dataclasses.dataclass(frozen=True)
class Cutout:
    """Paint a square of size x size pixels about a random pixel (DeVries and Taylor, 2017).

    The part outside of the image is cut off, so some squares are smaller. The paper paints 0 on
    normalised images, which is the mean of the data. Here normalisation comes later, so the square
    gets the mean of each channel over the batch, which then becomes about 0.
    """

    size: int

    def __post_init__(self) -> None:
        require_whole('size', self.size, 1, 64)

    def draw(self, rng: Rng, n: int, size: int) -> tuple[Array, ...]:
        """Draw top, left, bottom, right, integers ``(N,)`` each."""
        start = rng.randint(size, size=(2, n)) - self.size // 2
        return (*np.maximum(start, 0), *np.minimum(start + self.size, size))

    def apply(
        self, xp: ArrayModule, x: Array, top: Array, left: Array, bottom: Array, right: Array
    ) -> Array:
        """Paint the squares."""
        return _paint(xp, x, (top, left, bottom, right), x.mean(axis=(0, 2, 3), keepdims=True))


def _paint(xp: ArrayModule, x: Array, box: tuple[Array, ...], value: Array) -> Array:
    """Return `x` ``(N, C, H, W)`` with `value`, broadcast to it, in the box of each image."""
    top, left, bottom, right = (edge[:, None] for edge in box)
    rows, columns = xp.arange(x.shape[2]), xp.arange(x.shape[3])
    in_rows = (rows >= top) & (rows < bottom)
    in_columns = (columns >= left) & (columns < right)
    inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    painted: Array = xp.where(inside, value, x)
    return painted
