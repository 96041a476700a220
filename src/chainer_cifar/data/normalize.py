"""What is done to a batch last, after augmentation: x -> (x - mean) / std, channel by channel.

To add one: a function here that turns the training images (N, 3072), as the data file has them,
into mean and std, three numbers each or one for all channels.
"""

import dataclasses

import numpy as np

from chainer_cifar.errors import UserError, command_line
from chainer_cifar.registry import Registry

normalizations = Registry('normalization')

# These count on pictures of 0 to 255, as they are in image_raw.pkl.
OF_BYTES = ('unit', 'symmetric', 'imagenet')


@dataclasses.dataclass(frozen=True)
class Normalization:
    """The numbers of one normalization; called, it carries it out."""

    mean: np.ndarray  # float32 (3,)
    std: np.ndarray  # float32 (3,), none of them 0

    def __post_init__(self):
        for name in ('mean', 'std'):
            values = np.broadcast_to(np.asarray(getattr(self, name), np.float32), (3,))
            object.__setattr__(self, name, values)
        if not (np.isfinite(self.mean).all() and np.isfinite(self.std).all() and self.std.all()):
            raise ValueError('not a finite mean and a standard deviation')

    def __call__(self, xp, x):
        """Images of the array module `xp`, float32 (N, 3, H, W); a new array, or `x` itself."""
        if self.mean.any():
            x = x - xp.asarray(self.mean)[:, None, None]
        if (self.std != 1).any():
            x = x / xp.asarray(self.std)[:, None, None]
        return x


def fit(name, images):
    """The normalization `name` for these training images (N, 3072).

    Raises:
        UserError: No such normalization, or it is for raw images and these are none.
    """
    if name in OF_BYTES and images.dtype != np.uint8:
        raise UserError(
            f'{name}: is for raw images; give -d dataset/image_raw.pkl '
            f'(made by: {command_line("dataset --only raw")})'
        )
    return Normalization(*normalizations[name](images))


@normalizations.register('none')
def none(images):
    """Take the values as they are."""
    return 0, 1


@normalizations.register('unit')
def unit(images):
    """0 to 255 becomes 0 to 1 (articles 001 and 002)."""
    return 0, 255


@normalizations.register('symmetric')
def symmetric(images):
    """0 to 255 becomes -1 to 1, as MobileNet and EfficientNet were trained."""
    return 127.5, 127.5


@normalizations.register('channel')
def channel(images):
    """Each channel to mean 0 and standard deviation 1 over the training images (article 003)."""
    total, squares = np.zeros(3), np.zeros(3)
    for start in range(0, len(images), 2000):  # a copy in float64 of all would be 1.2 GB
        chunk = images[start : start + 2000].astype(np.float64).reshape(-1, 3, 1024)
        total += chunk.sum(axis=(0, 2))
        squares += np.einsum('ncp,ncp->c', chunk, chunk)
    count = len(images) * 1024
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean, np.where(std > 0, std, 1)


@normalizations.register('imagenet')
def imagenet(images):
    """0 to 255 to mean 0 and standard deviation 1 of ImageNet's channels, torchvision's numbers."""
    return 255 * np.array([0.485, 0.456, 0.406]), 255 * np.array([0.229, 0.224, 0.225])
