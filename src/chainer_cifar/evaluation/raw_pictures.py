"""Find the pictures, bytes of 0 to 255, behind the preprocessed images that a run is trained on."""

import pathlib

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.data import store
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.preprocess import Mean, Raw
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation.trained import Trained

SAMPLE = 20  # pictures that are preprocessed again, to see that they are the same
CLOSE = 1e-3  # of the images' largest value; rounding gives less


def of(trained: Trained, data: Dataset) -> Dataset:
    """Return `data` with the pictures, uint8 ``(N, C, H, W)``, in place of the images.

    Raw images are pictures. What `mean` did is undone. For all else the file of raw pictures beside
    the images is read.

    Args:
        trained: A run.
        data: Its data (`image_sets.load`).

    Raises:
        UserError: There is no such file, or it has other pictures.
    """
    fitted = trained.input_transform.preprocessing
    if data.test_images.dtype == Raw.dtype:
        return data
    if isinstance(fitted, Mean):
        return data._replace(
            train_images=_rounded(data.train_images, fitted),
            test_images=_rounded(data.test_images, fitted),
        )
    path = beside(trained.config.dataset)
    images = store.read_images(path)
    trains, tests = images['train'], images['test']
    if trains.dtype != Raw.dtype or len(trains) != len(data.train_images):
        raise _other(path, trained.config.dataset)
    if len(tests) != len(data.test_images):
        raise _other(path, trained.config.dataset)
    if fitted is not None:
        images_there = data.test_images[:SAMPLE]
        again = fitted(tests[:SAMPLE]).reshape(images_there.shape)  # some return rows of values
        if np.abs(again - images_there).max() > CLOSE * np.abs(images_there).max():
            raise _other(path, trained.config.dataset)
    return data._replace(train_images=trains, test_images=tests)


def beside(dataset: str) -> str:
    """Return the path of the raw pictures beside images; a folder of images holds raw ones."""
    path = pathlib.Path(dataset)
    if path.is_dir() or path.name == store.RAW_FOLDER:
        return dataset
    file, folder = path.with_name(store.image_file('raw')), path.with_name(store.RAW_FOLDER)
    # Of the user's own pictures they are a folder, whatever their size.
    return str(folder if folder.is_dir() and not file.exists() else file)


def _rounded(images: store.Images, fitted: Mean) -> NDArray[np.uint8]:
    pictures = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), 2000):
        chunk = images[start : start + 2000] + fitted.mean
        pictures[start : start + 2000] = np.rint(chunk).clip(0, 255)
    return pictures


def _other(path: str, dataset: str) -> UserError:
    return UserError(f'{path}: not the pictures of {dataset}; the two must come from one dataset')
