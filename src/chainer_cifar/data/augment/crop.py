"""Shift by whole pixels."""

import dataclasses

import numpy as np

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.checks import require_whole
from chainer_cifar.data.augment.borders import BETWEEN_PIXELS, fold, require_fill
from chainer_cifar.data.augment.kinds import InPixels, PerImage
from chainer_cifar.data.augment.registry import Rng, augmentations
from chainer_cifar.data.store import LARGEST, Shape


@augmentations.register('crop')
@dataclasses.dataclass(frozen=True)
class Crop(InPixels, PerImage):
    """Shift each image by -margin to margin pixels in both directions; vacated pixels become 0.

    Article 000's text says so; each of the 81 shifts is equally likely (its code clamps negative
    ones to 0). `fill` and `value` fill vacated pixels in other ways (see borders.py).
    """

    margin: int = 4
    fill: str = 'constant'
    value: float = 0

    def __post_init__(self) -> None:
        require_whole('margin', self.margin, 0, LARGEST)
        require_fill(self.fill, self.value)

    def require_shape(self, shape: Shape) -> None:
        side = min(shape[1:])
        require_whole('margin', self.margin, 0, side)
        if side < 2 and self.fill in BETWEEN_PIXELS:
            raise ValueError(f'fill {self.fill} is for images of 2x2 pixels and more')

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """Draw the shifts down and right, integers ``(N,)`` each."""
        return tuple(rng.randint(-self.margin, self.margin + 1, size=(2, n)))

    def apply(self, xp: ArrayModule, x: Array, down: Array, right: Array) -> Array:
        """Shift the images."""
        n, c, h, w = x.shape
        # Make a view of all shifts of each image and copy one of them: several times faster on a
        # CPU than to gather pixel by pixel. (CuPy's sliding_window_view stalls the GPU.)
        padded = self._pad(xp, x)
        shifts = 2 * self.margin + 1
        windows: Array = xp.lib.stride_tricks.as_strided(
            padded, (n, c, shifts, shifts, h, w), padded.strides + padded.strides[2:]
        )
        return windows[xp.arange(n), :, self.margin - down, self.margin - right]

    def _pad(self, xp: ArrayModule, x: Array) -> Array:
        n, c, h, w = x.shape
        m = self.margin
        if self.fill == 'constant':
            padded: Array = xp.full((n, c, h + 2 * m, w + 2 * m), self.value, x.dtype)
            padded[:, :, m : m + h, m : m + w] = x
            return padded
        rows, columns = (
            fold(np, np.arange(-m, size + m, dtype=np.float32), size, self.fill).astype(np.intp)
            for size in (h, w)
        )
        return x.take(xp.asarray(rows), axis=2).take(xp.asarray(columns), axis=3)
