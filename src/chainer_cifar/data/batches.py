"""Images on the device once, as one array; batches gathered and augmented from it."""

import chainer
import numpy as np
from chainer.dataset import converter

from chainer_cifar.errors import UserError


class Split:
    """Which images train, which validate.

    Args:
        n (int): Number of training images.
        seed (int): Of the random choice.
        validate (bool): Set a tenth aside for validation: 5,000 of CIFAR-10's 50,000.

    Attributes:
        train, valid (numpy.ndarray): Indices into the training images, int64; no overlap.
    """

    def __init__(self, n, seed, validate=True):
        order = np.random.RandomState(seed).permutation(n)
        n_valid = n // 10 if validate else 0
        self.train, self.valid = order[: n - n_valid], order[n - n_valid :]


class DeviceImages:
    """A set of images and labels that lies on a device.

    Args:
        images (numpy.ndarray): float32 or uint8 ``(N, 3072)``; row = R plane, G plane, B plane.
        labels (numpy.ndarray): int32 ``(N,)``.
        device (chainer.backend.Device): Where to put them.
        normalization (Normalization): What is done to each batch, after augmentation.
    """

    def __init__(self, images, labels, device, normalization):
        self.xp = device.xp
        self.normalization = normalization
        self.images = _sent(images.reshape(-1, 3, 32, 32), device)
        self.labels = device.send(labels)

    def __len__(self):
        return len(self.labels)

    def take(self, index):
        """Images ``(B, 3, 32, 32)`` and labels ``(B,)`` at `index`, integers ``(B,)``.

        The images are float32, and not normalized yet.
        """
        index = self.xp.asarray(np.asarray(index))
        return self.images[index].astype(np.float32, copy=False), self.labels[index]

    def batches(self, index, batch_size):
        """The images at `index`, in that order, normalized, `batch_size` at a time."""
        for start in range(0, len(index), batch_size):
            x, t = self.take(index[start : start + batch_size])
            yield self.normalization(self.xp, x), t

    def augmenting_converter(self, augment):
        """A Chainer converter: a batch of indices -> augmented, normalized images and labels."""

        @converter()
        def convert(index, device):
            x, t = self.take(index)
            return self.normalization(self.xp, augment(self.xp, x, np.random)), t

        return convert


def _sent(images, device):
    if device.xp is np:
        return images
    # In parts: CuPy sends by way of page-locked memory, and keeps what the largest of them took.
    on_device = device.xp.empty(images.shape, images.dtype)
    for start in range(0, len(images), 2000):
        on_device[start : start + 2000] = device.send(images[start : start + 2000])
    return on_device


def training_iterator(index, batch_size, labels=None):
    """Chainer's iterator over shuffled `index`; each epoch's order is drawn from NumPy's state.

    With `labels`, integers of all images, an epoch has as many images of every class; see
    `BalancedOrder`.
    """
    if batch_size > len(index):
        raise UserError(f'{batch_size}: there are only {len(index)} training images')
    order = None if labels is None else BalancedOrder(labels[index])
    return chainer.iterators.SerialIterator(index, batch_size, order_sampler=order)


class BalancedOrder:
    """Draws an epoch's order so that the classes are equally often in it, for SerialIterator.

    An epoch has as many images as there are. Those of a rare class come several times in it, each
    nearly as often as the others of its class; of a frequent one some do not come.

    Args:
        labels (numpy.ndarray): Integers ``(N,)``.
    """

    def __init__(self, labels: np.ndarray) -> None:
        self.of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self.n = len(labels)

    def __call__(self, order: np.ndarray, position: int) -> np.ndarray:
        """The places of the images of the next epoch; Chainer gives the last order and a place."""
        share, rest = divmod(self.n, len(self.of_class))
        # By lot, which classes have one more where they do not divide the number.
        quotas = share + (np.random.permutation(len(self.of_class)) < rest)
        drawn = [_drawn(places, n) for places, n in zip(self.of_class, quotas, strict=True)]
        return np.random.permutation(np.concatenate(drawn))


def _drawn(places, n):
    rounds = [np.random.permutation(places) for _ in range(1 + n // len(places))]
    return np.concatenate(rounds)[:n]
