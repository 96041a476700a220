"""The images and labels a run trains and tests on, read from two pickles and checked together."""

import zlib
from typing import NamedTuple

import numpy as np

from chainer_cifar.data import store
from chainer_cifar.errors import UserError

# More than any set of images has (ImageNet-21k: 21,841); a net has weights for each.
MOST_CLASSES = 100_000


class Dataset(NamedTuple):
    """Images float32 or uint8 ``(N, 3072)``, labels int32 ``(N,)``; of training and of test."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: list

    @property
    def n_class(self):
        return len(self.class_names)

    def checksum(self):
        """CRC-32 of every image and label: a run is resumed on the data it began with."""
        crc = 0
        for array in self[:4]:
            crc = zlib.crc32(np.ascontiguousarray(array).data.cast('B'), crc)
        return f'{crc:08x}'


def load(image_path, label_path):
    """Read a pair of files made by dataset.py, or by the original project.

    Raises:
        UserError: A file is missing or malformed, or the two do not fit each other.
    """
    images, labels = store.read_images(image_path), store.read_labels(label_path)
    for part in ('train', 'test'):
        if len(images[part]) != len(labels[part]):
            raise UserError(
                f'{label_path}: {len(labels[part])} {part} labels for {len(images[part])} images '
                f'in {image_path}; the two must come from one run of dataset.py'
            )
    names = store.read_class_names(label_path)
    largest = max(int(labels[part].max()) for part in labels)
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
        images['train'], labels['train'], images['test'], labels['test'], class_names=names
    )
