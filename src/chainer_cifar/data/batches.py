"""Images on the device once, as one array; batches gathered and augmented from it."""

from collections.abc import Sequence

import chainer
import numpy as np
from chainer.dataset import converter

from chainer_cifar.data.augment import Batch
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
        """A Chainer converter: what `training_iterator` gives -> images and labels for the net.

        The images are augmented and normalized; the labels are those of `augment.create`.
        """

        @converter()
        def convert(examples, device):
            x, t = augment(self.xp, self.batch(examples), np.random)
            return self.normalization(self.xp, x), t

        return convert

    def batch(self, examples: Sequence[tuple[int, int]]) -> Batch:
        """The `Batch` of some ``(index, epoch)``, as a step of `training_iterator` gives them."""
        index, epoch = np.asarray(examples).T
        return Batch(*self.take(index), index, epoch)


def _sent(images, device):
    if device.xp is np:
        return images
    # In parts: CuPy sends by way of page-locked memory, and keeps what the largest of them took.
    on_device = device.xp.empty(images.shape, images.dtype)
    for start in range(0, len(images), 2000):
        on_device[start : start + 2000] = device.send(images[start : start + 2000])
    return on_device


def training_iterator(index, batch_size):
    """An iterator over shuffled `index`; each epoch's order is drawn from NumPy's state.

    A mini-batch is a list of ``(index, epoch)``: epochs count from 0, and the mini-batch that ends
    one epoch may begin the next.
    """
    if batch_size > len(index):
        raise UserError(f'{batch_size}: there are only {len(index)} training images')
    return _EpochIterator(index, batch_size)


class _EpochIterator(chainer.iterators.SerialIterator):
    def __next__(self) -> list[tuple[int, int]]:
        count = len(self.dataset)
        given = self.epoch * count + self.current_position  # images before this mini-batch
        index = super().__next__()
        return [(image, (given + i) // count) for i, image in enumerate(index)]

    next = __next__
