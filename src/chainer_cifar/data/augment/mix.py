"""Two images in one, with a label that is shared between their classes."""

import dataclasses
import math

import numpy as np

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.checks import require_number
from chainer_cifar.data.augment.holes import paint, random_pixels
from chainer_cifar.data.augment.kinds import Mix
from chainer_cifar.data.augment.registry import Rng, augmentations
from chainer_cifar.data.store import Shape


@dataclasses.dataclass(frozen=True)
class _Mixing(Mix):
    alpha: float = 1
    probability: float = 1

    def __post_init__(self) -> None:
        require_number('alpha', self.alpha, 0.01, 100)
        require_number('probability', self.probability, 0, 1)

    def _pairs(self, rng: Rng, n: int) -> tuple[Array, float]:
        """With whom each image is mixed, and the share that all keep; as the papers' code."""
        share = rng.beta(self.alpha, self.alpha)
        if rng.uniform() >= self.probability:
            share = 1
        return rng.permutation(n), share


@augmentations.register('mixup')
@dataclasses.dataclass(frozen=True)
class Mixup(_Mixing):
    """With `probability`, blend each image of a batch with another (Zhang et al., 2018).

    All of a batch keep the same share of themselves, drawn from Beta(alpha, alpha).
    """

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """The other image, integers ``(N,)``, and the share of the first, float32 ``(N,)``."""
        other, share = self._pairs(rng, n)
        return other, np.full(n, share, np.float32)

    def apply(self, xp: ArrayModule, x: Array, other: Array, share: Array) -> Array:
        share = share[:, None, None, None]
        mixed = x[other]
        mixed *= 1 - share
        mixed += share * x
        return mixed


@augmentations.register('cutmix')
@dataclasses.dataclass(frozen=True)
class Cutmix(_Mixing):
    """With `probability`, paste a rectangle of another image of the batch (Yun et al., 2019).

    The rectangle lies about a random pixel and covers 1 - s of the image, s from Beta(alpha,
    alpha), less what falls outside; the label is shared by what is really covered. It is the same
    one for all images of a batch. The paper's probability for CIFAR-10 is 0.5.
    """

    def draw(self, rng: Rng, n: int, shape: Shape) -> tuple[Array, ...]:
        """As `Mixup.draw`, then top, left, bottom, right, integers ``(N,)``."""
        other, share = self._pairs(rng, n)
        _, height, width = shape
        half = np.array([int(side * math.sqrt(1 - share)) // 2 for side in (height, width)])
        (middle,) = random_pixels(rng, 1, shape).T
        (top, left), (bottom, right) = (
            (middle - half).clip(0),
            (middle + half).clip(max=(height, width)),
        )
        share = 1 - (bottom - top) * (right - left) / (height * width)
        box = np.array([top, left, bottom, right])
        return other, np.full(n, share, np.float32), *np.tile(box[:, None], n)

    def apply(self, xp: ArrayModule, x: Array, other: Array, share: Array, *box: Array) -> Array:
        return paint(xp, x, box, x[other])
