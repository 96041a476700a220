"""Paint over rectangles."""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.checks import require_number, require_whole
from chainer_cifar.data.augment.kinds import InPixels
from chainer_cifar.data.augment.registry import Rng, augmentations
from chainer_cifar.data.store import LARGEST, Shape


@augmentations.register('erase')
@dataclasses.dataclass(frozen=True)
class Erase:
    """With `probability`, paint a random rectangle (random erasing, Zhong et al., 2017).

    It covers `least` to `most` of the image, and its aspect ratio, as a multiple of the image's, is
    log-uniform in 1/aspect to aspect; its sides are rounded to pixels, at least one. It has one
    random value; with `noise` 1 a random value for each pixel and channel, which the paper finds
    best. The defaults are the original project's, whose value is uniform in ±128 for
    mean-subtracted CIFAR-10. That is ±2 standard deviations about the mean of the batch, which
    suits images of any scale.
    """

    probability: float = 0.5
    least: float = 0.02
    most: float = 0.4
    aspect: float = 3
    noise: int = 0

    def __post_init__(self) -> None:
        require_number('probability', self.probability, 0, 1)
        require_number('least', self.least, 0, 0.5)
        if self.most != self.least:
            require_number('most', self.most, self.least, 0.5)
        require_number('aspect', self.aspect, 1, 10)
        require_whole('noise', self.noise, 0, 1)

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """Top, left, bottom, right, integers ``(N,)``, and values in standard deviations.

        An image that stays whole has an empty rectangle. The values are float32: one an image
        ``(N,)``; of noise those of all rectangles, one after another.
        """
        channels, h, w = shape
        box = np.zeros((4, n), np.int64)
        if self.probability == 0.5:  # the default keeps choosing the images it always chose
            chosen = rng.randint(2, size=n)
        else:
            chosen = rng.uniform(size=n) < self.probability
        todo = np.flatnonzero(chosen)
        while len(todo):
            area = rng.uniform(self.least, self.most, len(todo)) * h * w
            aspect = np.exp(rng.uniform(-math.log(self.aspect), math.log(self.aspect), len(todo)))
            height = _whole(np.sqrt(area * aspect * (h / w)))
            width = _whole(np.sqrt(area / aspect * (w / h)))
            top, left = random_pixels(rng, len(todo), shape)
            fits = (top + height <= h) & (left + width <= w)
            found = np.stack([top, left, top + height, left + width])
            box[:, todo[fits]] = found[:, fits]
            todo = todo[~fits]
        count = n
        if self.noise:
            top, left, bottom, right = box
            count = channels * int(((bottom - top) * (right - left)).sum())
        return (*box, rng.uniform(-2, 2, count).astype(np.float32))

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
        if not self.noise:
            return paint(xp, x, (top, left, bottom, right), value[:, None, None, None])
        if not len(value):
            return x.copy()
        inside = xp.broadcast_to(_inside(xp, x, (top, left, bottom, right)), x.shape)
        # How many pixels inside come before each, channel after channel. (CuPy's flatnonzero would
        # look how many there are, which makes the GPU wait.)
        place = inside.reshape(-1).cumsum(dtype=np.int32) - 1
        return xp.where(inside, value.take(place).reshape(x.shape), x)


def _whole(side: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round sides of rectangles to whole pixels as the paper's code does, and to at least one."""
    return np.maximum(1, np.rint(side)).astype(np.int64)


@augmentations.register('cutout')
@dataclasses.dataclass(frozen=True)
class Cutout(InPixels):
    """Paint a square of size x size pixels about a random pixel (DeVries and Taylor, 2017).

    The part outside of the image is cut off, so some squares are smaller. The paper paints 0 on
    normalised images, which is the mean of the data. Here normalisation comes later, so the square
    gets the mean of each channel over the batch, which then becomes about 0.
    """

    size: int

    def __post_init__(self) -> None:
        require_whole('size', self.size, 1, 2 * LARGEST)

    def require_shape(self, shape: Shape) -> None:
        require_whole('size', self.size, 1, 2 * min(shape[1:]))

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """Draw top, left, bottom, right, integers ``(N,)`` each."""
        _, height, width = shape
        start = random_pixels(rng, n, shape) - self.size // 2
        end = np.minimum(start + self.size, [[height], [width]])
        return (*np.maximum(start, 0), *end)

    def apply(
        self, xp: ArrayModule, x: Array, top: Array, left: Array, bottom: Array, right: Array
    ) -> Array:
        """Paint the squares."""
        return paint(xp, x, (top, left, bottom, right), x.mean(axis=(0, 2, 3), keepdims=True))


def random_pixels(rng: Rng, n: int, shape: Shape) -> NDArray[np.int64]:
    """Draw rows and columns of `n` pixels of an image of `shape` (C, H, W): integers ``(2, N)``."""
    _, height, width = shape
    return np.stack([rng.randint(height, size=n), rng.randint(width, size=n)])


def paint(xp: ArrayModule, x: Array, box: tuple[Array, ...], value: Array) -> Array:
    """Return `x` ``(N, C, H, W)`` with `value`, broadcast to it, in the box of each image."""
    return xp.where(_inside(xp, x, box), value, x)


def _inside(xp: ArrayModule, x: Array, box: tuple[Array, ...]) -> Array:
    """Tell which pixels are in their image's box, ``(N, 1, H, W)``."""
    top, left, bottom, right = (edge[:, None] for edge in box)
    rows, columns = xp.arange(x.shape[2]), xp.arange(x.shape[3])
    in_rows = (rows >= top) & (rows < bottom)
    in_columns = (columns >= left) & (columns < right)
    return in_rows[:, None, :, None] & in_columns[:, None, None, :]
