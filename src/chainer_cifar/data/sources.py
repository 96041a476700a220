"""Sources of uint8 pictures: cifar10, cifar100, digits; folder and csv for the user's own.

A source is a function that takes a path. The first ones take the folder of the extracted archives
and return `RawImages`; those of the user's own pictures return a `Listing` of files to decode.
"""

import os
import pathlib
import typing
from collections.abc import Callable, Mapping, Sized
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.data import pickles, picture_folder, picture_table
from chainer_cifar.data.archive import ARCHIVES
from chainer_cifar.data.listing import Listing
from chainer_cifar.data.store import Shape, require_shape
from chainer_cifar.errors import UserError, command_line
from chainer_cifar.registry import Registry


class Pictures(NamedTuple):
    """What is known of decoded pictures: their files, and the folder of train.npy and test.npy."""

    folder: pathlib.Path
    fit: str  # see picture.read
    train: Listing
    test: Listing


class RawImages(NamedTuple):
    """Images ``(N, C, H, W)`` and labels ``(N,)``, for training and for testing."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int32]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int32]
    class_names: tuple[str, ...]
    # Of the user's own pictures only; see `Dataset` for the first two.
    valid: NDArray[np.int32] | None = None
    groups: NDArray[np.int32] | None = None
    pictures: Pictures | None = None

    @property
    def shape(self) -> Shape:
        """The shape of an image, ``(C, H, W)``."""
        return require_shape(self.train_images.shape[1:])


Folder: TypeAlias = str | os.PathLike[str]

sources = Registry[Callable[[Folder], RawImages | Listing]]('source')


@sources.register('cifar10')
def read_cifar10(folder: Folder) -> RawImages:
    """Read CIFAR-10, the official Python archive: 50,000 and 10,000 pictures of 10 classes."""
    folder = _archive_folder(folder, 'cifar10')
    names = _read_names(folder / 'batches.meta', 'label_names')
    batches = [_read_batch(folder / f'data_batch_{i}', 'labels', names) for i in range(1, 6)]
    images, labels = zip(*batches, strict=True)
    test_images, test_labels = _read_batch(folder / 'test_batch', 'labels', names)
    return RawImages(
        np.concatenate(images), np.concatenate(labels), test_images, test_labels, names
    )


@sources.register('cifar100')
def read_cifar100(folder: Folder) -> RawImages:
    """Read CIFAR-100 with its fine labels: 50,000 and 10,000 pictures of 100 classes."""
    folder = _archive_folder(folder, 'cifar100')
    names = _read_names(folder / 'meta', 'fine_label_names')
    train = _read_batch(folder / 'train', 'fine_labels', names)
    test = _read_batch(folder / 'test', 'fine_labels', names)
    return RawImages(*train, *test, names)


@sources.register('digits')
def read_digits(folder: Folder) -> RawImages:
    """Enlarge scikit-learn's 1,797 handwritten digits, 8x8 grey, to 32x32 RGB; no download needed.

    Every fifth picture of each class is a test picture, so the split is the same everywhere.
    """
    from PIL import Image
    from sklearn.datasets import load_digits  # takes a second, which other sources can save

    digits = load_digits()
    labels = digits.target.astype(np.int32)
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    size = (32, 32)
    large = np.stack(
        [np.asarray(Image.fromarray(i).resize(size, Image.Resampling.BICUBIC)) for i in grey]
    )
    images = np.repeat(large[:, None], 3, axis=1)

    test = np.zeros(len(labels), bool)
    for digit in range(10):
        test[np.flatnonzero(labels == digit)[4::5]] = True
    names = tuple(str(digit) for digit in range(10))
    return RawImages(images[~test], labels[~test], images[test], labels[test], names)


sources.register('folder')(picture_folder.read)
sources.register('csv')(picture_table.read)


def takes_pictures(name: str) -> bool:
    """Say whether the source takes the path of the user's own pictures, by what it returns."""
    return typing.get_type_hints(sources[name]).get('return') is Listing


def _archive_folder(folder: Folder, name: str) -> pathlib.Path:
    folder = pathlib.Path(folder) / ARCHIVES[name].folder
    if not folder.is_dir():
        raise UserError(
            f'{folder}: no such folder; fetch the archive with: '
            f'{command_line(f"download --set {name}")}'
        )
    return folder


def _read_names(path: pathlib.Path, key: str) -> tuple[str, ...]:
    names = _require(pickles.load(path), key, path)
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise UserError(f"{path}: '{key}' is not a list of names; {_again()}")
    return tuple(names)


def _read_batch(
    path: pathlib.Path, label_key: str, class_names: Sized
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Read and check images ``(N, 3, 32, 32)`` and labels ``(N,)``."""
    batch = pickles.load(path)
    images = _require(batch, 'data', path)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise UserError(f"{path}: 'data' is not an array of uint8; {_again()}")
    if images.ndim != 2 or images.shape[1] != 3072 or len(images) == 0:
        raise UserError(f"{path}: 'data' has shape {images.shape}, not (N, 3072); {_again()}")
    labels = _require(batch, label_key, path)
    if not isinstance(labels, list) or len(labels) != len(images):
        raise UserError(f"{path}: '{label_key}' is not a list of {len(images)} numbers; {_again()}")
    if not all(type(label) is int and 0 <= label < len(class_names) for label in labels):
        raise UserError(
            f"{path}: '{label_key}' holds other values than 0 to {len(class_names) - 1}; {_again()}"
        )
    return images.reshape(-1, 3, 32, 32), np.array(labels, np.int32)


def _require(content: Mapping[str, Any], key: str, path: pathlib.Path) -> Any:
    if key not in content:
        raise UserError(f"{path}: has no '{key}'; {_again()}")
    return content[key]


def _again() -> str:
    return f'extract the archive again with: {command_line("download")}'
