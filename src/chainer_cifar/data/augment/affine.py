"""Rotation, shift and zoom: affine maps; neighbours share one matrix and one interpolation.

As in Keras' ImageDataGenerator a matrix maps the (row, column) of a pixel of the result to the
place in the image where its value is, and ``rotate|shift|zoom`` is the product R T Z. It acts about
the true centre of the image, (H - 1) / 2, as in newer versions of Keras; 2.1.5 had H / 2 + 0.5, one
pixel further down and right.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.checks import require_number
from chainer_cifar.data.augment.borders import fold, require_fill
from chainer_cifar.data.augment.kinds import InPixels
from chainer_cifar.data.augment.registry import Augmentation, Rng, augmentations
from chainer_cifar.data.store import Shape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Affine(InPixels):
    """Base class; a subclass defines `matrices`."""

    fill: str = 'nearest'  # see borders.py
    value: float = 0

    def __post_init__(self) -> None:
        require_fill(self.fill, self.value)

    def require_shape(self, shape: Shape) -> None:
        if min(shape[1:]) < 2:
            raise ValueError('rotate, shift and zoom are for images of 2x2 pixels and more')

    def matrices(self, rng: Rng, n: int, shape: Shape) -> NDArray[np.float64]:
        """Draw matrices ``(N, 3, 3)`` that act about the centre; offsets are in pixels."""
        raise NotImplementedError

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """Draw the first two rows of the matrices, float32 ``(N, 2, 3)``."""
        return (self.matrices(rng, n, shape)[:, :2].astype(np.float32),)

    def apply(self, xp: ArrayModule, x: Array, matrices: Array) -> Array:
        """See `interpolate`."""
        return interpolate(xp, x, matrices, self.fill, self.value)


@augmentations.register('rotate')
@dataclasses.dataclass(frozen=True)
class Rotate(Affine):
    """Rotate each image by an angle uniform in ±degrees."""

    degrees: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number('degrees', self.degrees, 0, 180)

    def matrices(self, rng: Rng, n: int, shape: Shape) -> NDArray[np.float64]:
        return rotation(rng.uniform(-self.degrees, self.degrees, n))


@augmentations.register('shift')
@dataclasses.dataclass(frozen=True)
class Shift(Affine):
    """Shift each image by a distance uniform in ± a fraction of its size, not rounded to pixels.

    The arguments are fractions of the height and of the width; the second is by default the first.
    """

    vertical: float
    horizontal: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number('vertical', self.vertical, 0, 1)
        if self.horizontal is not None:
            require_number('horizontal', self.horizontal, 0, 1)

    def matrices(self, rng: Rng, n: int, shape: Shape) -> NDArray[np.float64]:
        horizontal = self.vertical if self.horizontal is None else self.horizontal
        _, height, width = shape
        limits = np.array([[height * self.vertical], [width * horizontal]])
        return translation(*rng.uniform(-limits, limits, (2, n)))


@augmentations.register('zoom')
@dataclasses.dataclass(frozen=True)
class Zoom(Affine):
    """Zoom the rows and the columns of each image by factors uniform in 1 ± fraction.

    As in Keras, a factor above 1 makes the image smaller.
    """

    fraction: float

    def __post_init__(self) -> None:
        super().__post_init__()
        require_number('fraction', self.fraction, 0, 0.99)

    def matrices(self, rng: Rng, n: int, shape: Shape) -> NDArray[np.float64]:
        return scaling(*rng.uniform(1 - self.fraction, 1 + self.fraction, (2, n)))


@dataclasses.dataclass(frozen=True)
class Product(Affine):
    """Several of the above in the order in which they are applied."""

    steps: tuple[Affine, ...]

    def matrices(self, rng: Rng, n: int, shape: Shape) -> NDArray[np.float64]:
        return functools.reduce(np.matmul, (step.matrices(rng, n, shape) for step in self.steps))


def combine(steps: Iterable[Augmentation]) -> list[Augmentation]:
    """Join each run of neighbouring `Affine` steps into one.

    Raises:
        ValueError: Neighbours fill differently.
    """
    combined: list[Augmentation] = []
    for _, group in itertools.groupby(steps, lambda step: isinstance(step, Affine)):
        run = list(group)
        affine = tuple(step for step in run if isinstance(step, Affine))
        combined += [_product(affine)] if len(affine) > 1 else run
    return combined


def _product(steps: tuple[Affine, ...]) -> Product:
    fills = {(step.fill, step.value) for step in steps}
    if len(fills) > 1:
        words = ' and '.join(sorted(f'fill={fill}, value={value}' for fill, value in fills))
        raise ValueError(
            f'neighbouring rotate, shift and zoom share one interpolation and must fill alike; '
            f'they have {words}'
        )
    ((fill, value),) = fills
    return Product(steps, fill=fill, value=value)


def rotation(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make matrices ``(N, 3, 3)`` from angles ``(N,)``; positive ones turn the image clockwise."""
    angle = np.deg2rad(degrees)
    matrices = _identity(len(angle))
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
    matrices[:, 1, 0] = np.sin(angle)
    matrices[:, 0, 1] = -matrices[:, 1, 0]
    return matrices


def translation(up: NDArray[np.float64], left: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make matrices ``(N, 3, 3)`` that shift the image by pixels ``(N,)``."""
    matrices = _identity(len(up))
    matrices[:, 0, 2], matrices[:, 1, 2] = up, left
    return matrices


def scaling(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make matrices ``(N, 3, 3)`` that divide the image's height and width by factors ``(N,)``."""
    matrices = _identity(len(rows))
    matrices[:, 0, 0], matrices[:, 1, 1] = rows, columns
    return matrices


def _identity(n: int) -> NDArray[np.float64]:
    return np.tile(np.eye(3), (n, 1, 1))


def interpolate(
    xp: ArrayModule, x: Array, matrices: Array, fill: str = 'nearest', value: float = 0
) -> Array:
    """Transform images by linear interpolation, like scipy.ndimage.affine_transform with order=1.

    Args:
        xp: The array module of `x`.
        x: float32 ``(N, C, H, W)``, H and W at least 2.
        matrices: See `Affine.draw`.
        fill: One of `borders.FILLS`.
        value: The value beyond the border, if `fill` is constant.

    Returns:
        Images of the same shape, C-contiguous, float32.
    """
    n, c, h, w = x.shape
    row, column = _positions(xp, x, matrices)
    if fill == 'constant':
        inside = (row >= 0) & (row <= h - 1) & (column >= 0) & (column <= w - 1)

    top, down = _pixel_and_rest(xp, fold(xp, row, h, fill), h)
    left, right = _pixel_and_rest(xp, fold(xp, column, w, fill), w)
    up, back = 1 - down, 1 - right
    weights = (up * back, up * right, down * back, down * right)
    steps = (1, w, w + 1)  # from the upper left of the four pixels to the others
    index = (top * w + left).astype(np.intp)
    index += xp.arange(n)[:, None, None] * (c * h * w)

    # One channel at a time, so that its data fit into a CPU's cache; all share `index`.
    flat = x.reshape(-1)
    result: Array = xp.empty((n, c, h, w), x.dtype)
    for channel in range(c):
        total = flat[channel * h * w :].take(index) * weights[0]
        for step, weight in zip(steps, weights[1:], strict=True):
            tap = flat[channel * h * w + step :].take(index)
            tap *= weight
            total += tap
        result[:, channel] = xp.where(inside, total, value) if fill == 'constant' else total
    return result


def nearest_pixel(xp: ArrayModule, x: Array, matrices: Array, value: float = 0) -> Array:
    """Transform images; each pixel of the result is the nearest one of the image.

    Arguments and result are those of `interpolate`, with `value` beyond the border.
    """
    n, c, h, w = x.shape
    padded = xp.full((n, c, h + 2, w + 2), value, x.dtype)
    padded[:, :, 1:-1, 1:-1] = x
    row, column = (xp.rint(position) for position in _positions(xp, x, matrices))
    size = (h + 2) * (w + 2)
    index = (xp.clip(row, -1, h) * (w + 2) + xp.clip(column, -1, w)).astype(np.intp)
    index += xp.arange(n)[:, None, None] * (c * size) + (w + 3)
    flat = padded.reshape(-1)
    result = xp.empty(x.shape, x.dtype)
    for channel in range(c):  # as in `interpolate`
        result[:, channel] = flat[channel * size :].take(index)
    return result


def _positions(xp: ArrayModule, x: Array, matrices: Array) -> tuple[Array, Array]:
    """Return the row and the column in the image of each pixel of the result, float32 (N, H, W)."""
    h, w = x.shape[2:]
    rows = (xp.arange(h, dtype=x.dtype) - (h - 1) / 2)[:, None]
    columns = xp.arange(w, dtype=x.dtype) - (w - 1) / 2
    m = matrices[:, :, :, None, None]
    row = m[:, 0, 0] * rows + (m[:, 0, 1] * columns + (m[:, 0, 2] + (h - 1) / 2))
    column = m[:, 1, 0] * rows + (m[:, 1, 1] * columns + (m[:, 1, 2] + (w - 1) / 2))
    return row, column


def _pixel_and_rest(xp: ArrayModule, position: Array, size: int) -> tuple[Array, Array]:
    """Return the pixel before a position, but not the last one, and the distance behind it."""
    pixel = xp.minimum(xp.floor(position), size - 2)
    return pixel, position - pixel
