"""RandAugment and TrivialAugment: operations chosen at random from a list of fourteen.

The list and the strengths are those of torchvision, which are those of the papers: identity, shear
and shift of rows and of columns, rotate; brightness, saturation, contrast, sharpness; posterize,
solarize, autocontrast, equalize. Operations on colours are Pillow's (see photo.py). The others act
about the image's centre, take the nearest pixel, and leave black behind.
"""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.checks import require_whole
from chainer_cifar.data.augment import photo
from chainer_cifar.data.augment.affine import nearest_pixel, rotation, translation
from chainer_cifar.data.augment.kinds import OfColours
from chainer_cifar.data.augment.registry import Rng, augmentations
from chainer_cifar.data.store import Shape

LEVELS = 30  # from the weakest, 0, to the strongest

(
    _IDENTITY,
    _SHEAR_ROWS,
    _SHEAR_COLUMNS,
    _SHIFT_ROWS,
    _SHIFT_COLUMNS,
    _ROTATE,
    _BRIGHTNESS,
    _CONTRAST,
    _SATURATION,
    _SHARPNESS,
    _POSTERIZE,
    _SOLARIZE,
    _AUTOCONTRAST,
    _EQUALIZE,
) = range(14)


class Strengths(NamedTuple):
    """What each operation does at the strongest level."""

    shear: float  # pixels for a pixel
    shift: float  # of the image's size, up to `pixels`
    pixels: float
    degrees: float
    factor: float  # added to 1, or subtracted, for brightness, contrast, saturation, sharpness
    bits: int  # that posterize drops


@dataclasses.dataclass(frozen=True)
class _Policy(OfColours, abc.ABC):
    strengths: ClassVar[Strengths]

    @property
    @abc.abstractmethod
    def passes(self) -> int:
        """How many operations are done to each image."""

    @abc.abstractmethod
    def levels(self, rng: Rng, n: int) -> Array:
        """The level of the operation on each of n images, whole numbers ``(N,)``."""

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """For each pass what `_draw_pass` draws."""
        return sum((self._draw_pass(rng, n, shape) for _ in range(self.passes)), ())

    def apply(self, xp: ArrayModule, x: Array, *choices: Array) -> Array:
        x, remaining = x.copy(), iter(choices)
        for _ in range(self.passes):
            for operation, count in _OPERATIONS:
                index, *values = (next(remaining) for _ in range(1 + count))
                if len(index):
                    x[index] = operation(xp, x[index], *values)
        return x

    def _draw_pass(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """For each of `_OPERATIONS` which images it changes, integers, and its arguments."""
        strengths = self.strengths
        chosen = rng.randint(14, size=n)
        level = self.levels(rng, n) / LEVELS
        signed = level * rng.choice([-1, 1], n)

        moved = np.flatnonzero((chosen > _IDENTITY) & (chosen <= _ROTATE))
        matrices = _matrices(chosen[moved], signed[moved], strengths, shape)
        recoloured = np.flatnonzero((chosen >= _BRIGHTNESS) & (chosen <= _SATURATION))
        factors = 1 + strengths.factor * signed
        each = np.array([[_BRIGHTNESS], [_CONTRAST], [_SATURATION]])
        own = np.where(chosen[recoloured] == each, factors[recoloured], 1).astype(np.float32)
        sharpened, posterized, solarized, stretched, equalized = (
            np.flatnonzero(chosen == kind) for kind in range(_SHARPNESS, _EQUALIZE + 1)
        )
        bits = 8 - np.round(strengths.bits * level[posterized])
        return (
            *(moved, matrices),
            *(recoloured, *own),
            *(sharpened, factors[sharpened].astype(np.float32)),
            *(posterized, bits.astype(np.float32)),
            *(solarized, (255 * (1 - level[solarized])).astype(np.float32)),
            stretched,
            equalized,
        )


# With their number of arguments beside the images.
_OPERATIONS: tuple[tuple[Callable[..., Array], int], ...] = (
    (nearest_pixel, 1),
    (photo.recolour, 3),
    (photo.sharpen, 1),
    (photo.posterize, 1),
    (photo.solarize, 1),
    (photo.autocontrast, 0),
    (photo.equalize, 0),
)


def _matrices(chosen: Array, signed: Array, strengths: Strengths, shape: Shape) -> Array:
    """float32 ``(N, 2, 3)`` as of `affine.Affine.draw`; `signed` is -1 to 1."""
    rotated = chosen == _ROTATE
    matrices = rotation(np.where(rotated, strengths.degrees * signed, 0))
    limits = (min(strengths.shift * side, strengths.pixels) for side in shape[1:])
    up, left = (np.trunc(limit * signed) for limit in limits)
    matrices += translation(
        np.where(chosen == _SHIFT_ROWS, up, 0), np.where(chosen == _SHIFT_COLUMNS, left, 0)
    ) - np.eye(3)
    matrices[:, 0, 1] += np.where(chosen == _SHEAR_COLUMNS, strengths.shear * signed, 0)
    matrices[:, 1, 0] += np.where(chosen == _SHEAR_ROWS, strengths.shear * signed, 0)
    return matrices[:, :2].astype(np.float32)


@augmentations.register('randaugment')
@dataclasses.dataclass(frozen=True)
class RandAugment(_Policy):
    """Do n operations, one after another, to each image, at level m of 0 to 30.

    Cubuk et al., RandAugment, 2020; the operations are drawn for each image, and twice the same is
    possible. torchvision's defaults.
    """

    n: int = 2
    m: int = 9

    strengths = Strengths(
        shear=0.3, shift=150 / 331, pixels=math.inf, degrees=30, factor=0.9, bits=4
    )

    def __post_init__(self) -> None:
        require_whole('n', self.n, 1, 10)
        require_whole('m', self.m, 0, LEVELS)

    @property
    def passes(self) -> int:
        return self.n

    def levels(self, rng: Rng, n: int) -> Array:
        return np.full(n, self.m)


@augmentations.register('trivialaugment')
@dataclasses.dataclass(frozen=True)
class TrivialAugment(_Policy):
    """Do one operation to each image, at a random level (Müller and Hutter, 2021).

    The wide strengths, which may be so strong that little of the image is left. Shifts are by up to
    32 pixels, however large the image.
    """

    strengths = Strengths(shear=0.99, shift=1, pixels=32, degrees=135, factor=0.99, bits=6)

    @property
    def passes(self) -> int:
        return 1

    def levels(self, rng: Rng, n: int) -> Array:
        return rng.randint(LEVELS + 1, size=n)
