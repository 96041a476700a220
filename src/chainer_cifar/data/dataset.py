"""The images and labels that a run trains and tests on: two files, read and checked together."""

import os
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.data import store
from chainer_cifar.errors import UserError

# More than any set of images has (ImageNet-21k: 21,841); a net has weights for each.
MOST_CLASSES = 100_000

CHUNK = 2000  # images of which to compute the checksum at a time


class Dataset(NamedTuple):
    """Images ``(N, C, H, W)`` and labels ``(N,)``, for training and for testing."""

    train_images: store.Images
    train_labels: NDArray[np.int32]
    test_images: store.Images
    test_labels: NDArray[np.int32]
    class_names: list[str]
    # See store.read_labels; None for what says nothing of them, such as CIFAR-10.
    valid: NDArray[np.int32] | None = None
    groups: NDArray[np.int32] | None = None

    @property
    def n_class(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def shape(self) -> store.Shape:
        """The shape of an image, ``(C, H, W)``."""
        return store.require_shape(self.train_images.shape[1:])

    def checksum(self) -> str:
        """Return the CRC-32 of all images and labels: a run must resume on the data it began with.

        Class names do not count.
        """
        crc = 0
        known = [array for array in (*self[:4], self.valid, self.groups) if array is not None]
        for array in known:
            for start in range(0, len(array), CHUNK):  # a copy of all might not fit in memory
                part = np.ascontiguousarray(array[start : start + CHUNK])
                crc = zlib.crc32(part.data.cast('B'), crc)
        return f'{crc:08x}'


def load(image_path: str | os.PathLike[str], label_path: str | os.PathLike[str]) -> Dataset:
    """Read a pair of files that dataset.py or the original project made.

    Raises:
        UserError: A file is missing or malformed, or the two do not fit together.
    """
    images, labels = store.read_images(image_path), store.read_labels(label_path)
    for part in ('train', 'test'):
        if len(images[part]) != len(labels[part]):
            raise UserError(
                f'{label_path}: {len(labels[part])} {part} labels for {len(images[part])} images '
                f'in {image_path}; the two must come from one run of dataset.py'
            )
    names = store.read_class_names(label_path)
    largest = max(int(np.max(labels[part])) for part in store.PARTS)
    if names is None:  # the original project's files have no names
        if largest >= MOST_CLASSES:
            raise UserError(
                f'{label_path}: label {largest}; without {store.CLASSES_FILE} beside it, labels '
                f'must be less than {MOST_CLASSES:,}: number the classes from 0'
            )
        names = [str(label) for label in range(largest + 1)]
    if largest >= len(names):
        raise UserError(
            f'{label_path}: label {largest}, but classes.json names {len(names)} classes'
        )
    return Dataset(
        images['train'],
        labels['train'],
        images['test'],
        labels['test'],
        names,
        labels.get(store.VALID),
        labels.get(store.GROUP),
    )
