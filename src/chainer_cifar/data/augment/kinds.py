"""Base classes of augmentations that need more than images and a random state."""

from chainer_cifar.arrays import Array
from chainer_cifar.data.store import Shape


class InPixels:
    """Does not suit images of any size, as one with an argument in pixels does not."""

    def require_shape(self, shape: Shape) -> None:
        """Raise ValueError if it does not suit images of the shape (C, H, W)."""
        raise NotImplementedError


class OfColours:
    """Acts on colours: `apply` is given black as 0 and white as 255, and returns such images.

    Values may lie between bytes, and outside of 0 to 255, where an earlier step left them so.
    """


class Mix:
    """Mixes each image with another of the batch, and their labels alike.

    The first two choices are `other`, the index of that image, integers ``(N,)``, and `share`, what
    the image itself keeps, float32 ``(N,)``.
    """

    def mix(self, t: Array, other: Array, share: Array, *_: Array) -> Array:
        """The labels after `apply`: shares of each class ``(N, K)`` from those before."""
        share = share[:, None]
        return share * t + (1 - share) * t[other]


class Known:
    """Decides by what is known of an image, not by a random state of the iteration.

    It has `draw_known` in place of ``draw``.
    """

    def draw_known(self, seed: int, number: Array, epoch: Array) -> tuple[Array, ...]:
        """Draw for images of which is known which of the training images each is, and the epoch.

        Args:
            seed: The run's.
            number: Integers ``(N,)``.
            epoch: That in which each image is seen, from 0; integers ``(N,)``.
        """
        raise NotImplementedError
