"""Normalize a batch after augmentation: x -> (x - mean) / std, channel by channel.

To add a normalization, write a function here. It takes the training images ``(N, C, H, W)`` as the
data file has them, and returns mean and std, either C numbers or one for all channels.
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

CHUNK = 2000 * 3072  # values at a time; 49 MB in float64


@dataclasses.dataclass(frozen=True, init=False)
class Normalization:
    """The numbers of a normalization; call it to carry it out.

    Args:
        mean: A number for each channel, or one for all, of any dtype.
        std: Likewise; none of them 0.
        channels: How many channels there are, if neither of the two tells.

    Raises:
        ValueError: A number is not finite, a standard deviation is 0, or they are not 1 or 3.
    """

    mean: NDArray[np.float32]  # (C,)
    std: NDArray[np.float32]  # (C,)

    def __init__(self, mean: ArrayLike, std: ArrayLike, channels: int = 3) -> None:
        (count,) = np.broadcast_shapes(np.shape(mean), np.shape(std)) or (channels,)
        if count not in (1, 3):
            raise ValueError('not numbers for one or three channels')
        for name, numbers in (('mean', mean), ('std', std)):
            each = np.broadcast_to(np.asarray(numbers, np.float32), (count,))
            object.__setattr__(self, name, each)
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and self.std.all()):
            raise ValueError('not a finite mean and a standard deviation')

    def __call__(self, xp: ArrayModule, x: Array) -> Array:
        """Normalize images.

        Args:
            xp: The array module of `x`.
            x: float32 ``(N, C, H, W)``; it stays as it is.

        Returns:
            A new array, or `x` itself if there is nothing to do.
        """
        if self.mean.any():
            x = x - xp.asarray(self.mean)[:, None, None]
        if (self.std != 1).any():
            x = x / xp.asarray(self.std)[:, None, None]
        return x


def fit(name: str, images: Array) -> Normalization:
    """Make the normalization `name` for these training images ``(N, C, H, W)``.

    Raises:
        UserError: There is no such normalization, or it is for raw images and these are not raw.
    """
    if name in FOR_RAW and images.dtype != np.uint8:
        raise UserError(
            f'{name}: is for raw images; give -d dataset/image_raw.pkl '
            f'(made by: {command_line("dataset --only raw")})'
        )
    return Normalization(*normalizations[name](images), channels=images.shape[1])


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
    n, channels, height, width = images.shape
    area = height * width
    total, squares = np.zeros(channels), np.zeros(channels)
    step = max(1, CHUNK // (channels * area))
    for start in range(0, n, step):  # a float64 copy of all would take eight times their bytes
        chunk = images[start : start + step].astype(np.float64).reshape(-1, channels, area)
        total += chunk.sum(axis=(0, 2))
        squares += np.einsum('ncp,ncp->c', chunk, chunk)
    count = n * area
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean, np.where(std > 0, std, 1)


@normalizations.register('imagenet')
def imagenet(images: Array) -> MeanAndStd:
    """Give ImageNet's channels mean 0 and standard deviation 1, with torchvision's numbers.

    For grey images, these are the means of the three numbers.
    """
    mean, std = 255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])
    return (mean, std) if images.shape[1] == 3 else (mean.mean(), std.mean())
