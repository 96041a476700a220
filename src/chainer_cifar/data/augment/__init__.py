"""Augmentation of a whole batch at once, in NumPy or CuPy.

Each augmentation is split in two: ``draw(rng, n, size)`` makes the random choices, as small NumPy
arrays on the host; ``apply(xp, x, *choices)`` carries them out on the device, in its array module.
So a test can fix the choices, and a CPU and a GPU see the same augmented pictures.
To add one: a class here with ``@augmentations.register('name')``.
"""

import math

import numpy as np

from chainer_cifar.registry import Registry

augmentations = Registry('augmentation')


def create(text):
    """Build what ``--augment`` says.

    Args:
        text (str): Names with commas between them, in the order in which they are applied, such
            as ``'crop,mirror'``; empty or ``none`` for no augmentation.

    Returns:
        A function ``augment(xp, x, rng)`` of the device's array module, float32 images
        ``(N, C, H, W)`` and a NumPy random state, that returns images of the same shape.

    Raises:
        UserError: A name that is not registered.
    """
    names = [] if text == 'none' else [name.strip() for name in text.split(',') if name.strip()]
    steps = [augmentations[name] for name in names]

    def augment(xp, x, rng):
        for step in steps:
            choices = step.draw(rng, len(x), x.shape[2])
            x = step.apply(xp, x, *(xp.asarray(choice) for choice in choices))
        return x

    return augment


@augmentations.register('crop')
class Crop:
    """Shift each image by -4 to 4 pixels in both directions; vacated pixels become 0.

    Article 000's text; each of the 81 shifts is equally likely (the code printed there clamps
    negative ones to 0).
    """

    margin = 4

    @classmethod
    def draw(cls, rng, n, size):
        """Shifts down and right, integers ``(N,)`` each."""
        return tuple(rng.randint(-cls.margin, cls.margin + 1, size=(2, n)))

    @classmethod
    def apply(cls, xp, x, down, right):
        n, c, h, w = x.shape
        m = cls.margin
        padded = xp.zeros((n, c, h + 2 * m, w + 2 * m), x.dtype)
        padded[:, :, m : m + h, m : m + w] = x
        # A view of all 81 shifts of each image, of which one is copied: several times faster on a
        # CPU than gathering pixel by pixel.
        windows = xp.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(2, 3))
        return windows[xp.arange(n), :, m - down, m - right]


@augmentations.register('mirror')
class Mirror:
    """Flip each image left to right with probability 1/2 (article 000)."""

    @staticmethod
    def draw(rng, n, size):
        """Which images to flip, integers ``(F,)``."""
        return (np.flatnonzero(rng.randint(2, size=n)),)

    @staticmethod
    def apply(xp, x, flipped):
        x = x.copy()
        x[flipped] = x[flipped, :, :, ::-1]
        return x


@augmentations.register('erase')
class Erase:
    """With probability 1/2, paint a rectangle of one random value (Zhong et al., 2017).

    The original project's numbers: the rectangle covers 2 to 40 % of the image, its aspect ratio is
    log-uniform in 1/3 to 3, and the value is uniform in ±128 for mean-subtracted CIFAR-10. That is
    ±2 standard deviations, which also suits images of another scale.
    """

    @staticmethod
    def draw(rng, n, size):
        """Top, left, bottom, right, integers ``(N,)``, and value in standard deviations ``(N,)``.

        An image that stays whole has an empty rectangle.
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

    @staticmethod
    def apply(xp, x, top, left, bottom, right, value):
        rows, columns = xp.arange(x.shape[2]), xp.arange(x.shape[3])
        in_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
        in_columns = (columns >= left[:, None]) & (columns < right[:, None])
        inside = in_rows[:, None, :, None] & in_columns[:, None, None, :]
        return xp.where(inside, (value * x.std())[:, None, None, None], x)
