"""Normalize a batch after augmentation: x -> (x - mean) / std, channel by channel.

To add a normalization, write a function here. It takes the training images ``(N, 3072)`` as the
data file has them, and returns mean and std, either three numbers or one for all channels.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.errors import UserError, command_line
from chainer_cifar.registry import Registry

MeanAndStd: TypeAlias = tuple[ArrayLike, ArrayLike]

normalizations = Registry[Callable[[Array], MeanAndStd]]('normalization')

# These expect pictures of 0 to 255, as image_raw.pkl holds them.
FOR_RAW = ('unit', 'symmetric', 'imagenet')


@dataclasses.dataclass(frozen=True, init=False)
class Normalization:
    """The numbers of a normalization; call it to carry it out.

    Args:
        mean: Three numbers, or one for all channels, of any dtype.
        std: Likewise; none of them 0.

    Raises:
        ValueError: A number is not finite, or a standard deviation is 0.
    """

    mean: NDArray[np.float32]  # (3,)
    std: NDArray[np.float32]  # (3,)

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        for name, values in (('mean', mean), ('std', std)):
            three = np.broadcast_to(np.asarray(values, np.float32), (3,))
            object.__setattr__(self, name, three)
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and self.std.all()):
            raise ValueError('not a finite mean and a standard deviation')

    def __call__(self, xp: ArrayModule, x: Array) -> Array:
        """Normalize images.

        Args:
            xp: The array module of `x`.
            x: float32 ``(N, 3, H, W)``; it stays as it is.

        Returns:
            A new array, or `x` itself if there is nothing to do.
        """
        if self.mean.any():
            x = x - xp.asarray(self.mean)[:, None, None]
        if (self.std != 1).any():
            x = x / xp.asarray(self.std)[:, None, None]
        return x


def fit(name: str, images: Array) -> Normalization:
    """Make the normalization `name` for these training images ``(N, 3072)``.

    Raises:
        UserError: There is no such normalization, or it is for raw images and these are not raw.
    """
    if name in FOR_RAW and images.dtype != np.uint8:
        raise UserError(
            f'{name}: is for raw images; give -d dataset/image_raw.pkl '
            f'(made by: {command_line("dataset --only raw")})'
        )
    return Normalization(*normalizations[name](images))


@normalizations.register('none')
def none(images: Array) -> MeanAndStd:
    """Leave the values as they are."""
    return 0, 1


@normalizations.register('unit')
def unit(images: Array) -> MeanAndStd:
    """Map 0 to 255 to 0 to 1 (articles 001 and 002)."""
    return 0, 255


@normalizations.register('symmetric')
def symmetric(images: Array) -> MeanAndStd:
    """Map 0 to 255 to -1 to 1, as in the training of MobileNet and EfficientNet."""
    return 127.5, 127.5


@normalizations.register('channel')
def channel(images: Array) -> MeanAndStd:
    """Give each channel mean 0 and standard deviation 1 over the training images (article 003)."""
    total, squares = np.zeros(3), np.zeros(3)
    for start in range(0, len(images), 2000):  # a float64 copy of all would take 1.2 GB
        chunk = images[start : start + 2000].astype(np.float64).reshape(-1, 3, 1024)
        total += chunk.sum(axis=(0, 2))
        squares += np.einsum('ncp,ncp->c', chunk, chunk)
    count = len(images) * 1024
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean, np.where(std > 0, std, 1)


@normalizations.register('imagenet')
def imagenet(images: Array) -> MeanAndStd:
    """Give ImageNet's channels mean 0 and standard deviation 1, with torchvision's numbers."""
    return 255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])
