"""Choose the images to evaluate weights on: the test, valid or train set of their own run."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import initial
from chainer_cifar.arrays import Array
from chainer_cifar.data import batches, dataset, input_transform
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.preprocess import Preprocessing, Raw, name_of
from chainer_cifar.data.split import Split
from chainer_cifar.data.store import in_words
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import inference
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.registry import Registry
from chainer_cifar.streams import progress_bar

Index: TypeAlias = NDArray[np.integer[Any]]
Labels: TypeAlias = NDArray[np.int32]

# Images (N, C, H, W), their labels (N,), and the indices of those in the set.
Choice: TypeAlias = tuple[Array, Labels, Index]

choices = Registry[Callable[[Trained, Dataset], Choice]]('set')


def load(trained: Trained) -> Dataset:
    """Load ``--dataset`` and ``--label`` of a run, and check that they are of its kind.

    Raises:
        UserError: The files are missing or damaged, or have other classes, another size or another
            preprocessing than those of the run.
    """
    config = trained.config
    data = dataset.load(config.dataset, config.label)
    _compare_shape(trained, data)
    _compare_names(trained, data)
    _compare_preprocessing(trained, data)
    return data


def choose(
    trained: Trained, data: Dataset, name: str
) -> tuple[batches.DeviceImages, Index, Labels]:
    """Choose one set and put its images on the device.

    Args:
        trained: The net, on its device, and its run.
        data: The data from `load`.
        name: test, valid or train.

    Returns:
        The images, the indices of those in the set, and their labels ``(N,)``.

    Raises:
        UserError: The run has no such images, or nobody knows which they are.
    """
    images, labels, index = choices[name](trained, data)
    normalization = trained.input_transform.normalization
    return batches.DeviceImages(images, labels, trained.device, normalization), index, labels[index]


def logits(
    trained: Trained, images: batches.DeviceImages, index: Index, tta: str = 'none'
) -> NDArray[np.float32]:
    """Compute the logits ``(N, K)`` of some images that `choose` gave; a bar shows the progress.

    For `tta` and the errors see `inference.logits`.
    """
    inputs = (x for x, _ in images.batches(index, trained.config.batch_size))
    with progress_bar('evaluate', len(index)) as bar:
        return inference.logits(trained.net, inputs, tta, bar.update)


def spread(index: Index, most: int) -> Index:
    """Choose at most so many images of a set, evenly spread: it may be sorted by class."""
    if most >= len(index):
        return index
    return index[np.arange(most) * len(index) // most]


@choices.register('test')
def _test(trained: Trained, data: Dataset) -> Choice:
    return data.test_images, data.test_labels, np.arange(len(data.test_labels))


@choices.register('valid')
def _valid(trained: Trained, data: Dataset) -> Choice:
    if trained.config.no_valid_data:
        raise UserError('valid: this run set no images aside (--no_valid_data)')
    return data.train_images, data.train_labels, _split(trained, data, 'valid').valid


@choices.register('train')
def _train(trained: Trained, data: Dataset) -> Choice:
    return data.train_images, data.train_labels, _split(trained, data, 'train').train


def _split(trained: Trained, data: Dataset, name: str) -> Split:
    config = trained.config
    if data.checksum() != trained.data_checksum:
        raise UserError(
            f'{name}: {config.dataset} and {config.label} are not the data this run was '
            f'trained on (the checksum differs), so nobody knows which of their images are its '
            f'{name} set; give those with -d and -l'
        )
    return initial.split_images(config, data)


def _compare_shape(trained: Trained, data: Dataset) -> None:
    ours = trained.input_transform.shape
    if data.shape != ours:
        raise UserError(
            f'{trained.config.dataset}: its images are {in_words(data.shape)}, those of the run '
            f'{in_words(ours)}; give data of that size with -d and -l'
        )


def _compare_names(trained: Trained, data: Dataset) -> None:
    ours, theirs = trained.class_names, list(data.class_names)
    where = f'{trained.config.label}: not the classes of {trained.weights}'
    for number, (our, their) in enumerate(zip(ours, theirs, strict=False)):
        if our != their:
            raise UserError(f"{where}: class {number} is '{their}' there and '{our}' in the run")
    if len(ours) != len(theirs):
        raise UserError(f'{where}: there are {len(theirs)} there and {len(ours)} in the run')


def _equal(one: Preprocessing, other: Preprocessing) -> bool:
    """Say whether both are the same preprocessing, fitted to the same numbers."""
    return type(one) is type(other) and all(
        np.array_equal(value, getattr(other, name)) for name, value in vars(one).items()
    )


def _compare_preprocessing(trained: Trained, data: Dataset) -> None:
    path = trained.config.dataset
    ours = trained.input_transform.preprocessing
    theirs = input_transform.from_dataset(path, trained.input_transform.normalization).preprocessing
    if ours is None:
        return
    raw = data.test_images.dtype == Raw.dtype
    if raw != (ours.dtype == Raw.dtype) or (theirs is not None and not _equal(ours, theirs)):
        raise UserError(
            f"{path}: its images were not preprocessed as those of the run, by '{name_of(ours)}'; "
            f'give such a file with -d'
        )
