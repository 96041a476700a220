"""Classify pictures with trained weights: read them, run the net, draw both."""

import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from chainer_cifar import figures
from chainer_cifar.arrays import Array
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import (
    image_sets,
    picture_files,
    picture_labels,
    predictions,
)
from chainer_cifar.evaluation.picture_files import Found
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.streams import printable, progress_bar, tell
from chainer_cifar.table import counted


class PicturesToClassify(NamedTuple):
    """Pictures and what goes with them; `from_files` and `first_test_images` make it.

    Attributes:
        names: Names of the pictures.
        short: Short names for captions.
        pictures: The pictures, uint8 ``(N, C, H, W)``.
        labels: A class number for each, None for an unknown one; or None.
        inputs: Batches of what the net takes.
        unread: How many other files were unreadable.
    """

    names: list[str]
    short: list[str]
    pictures: NDArray[np.uint8]
    labels: list[int | None] | None
    inputs: Iterable[Array]
    unread: int = 0


def from_files(
    found: list[Found], labels: list[int | None] | None, model: Trained
) -> PicturesToClassify:
    """Read picture files; warn of each that is unreadable, unless it is the only one.

    Args:
        found: The files.
        labels: A class number for each, None for an unknown one; or None.
        model: The net and its input transform.

    Raises:
        UserError: All files are unreadable.
    """
    read, pictures = _read([picture.path for picture in found], model.input_transform)
    if not read:
        raise UserError(f'none of the {len(found)} pictures could be read')
    names = [printable(found[i].path) for i in read]
    short = [printable(found[i].short) for i in read]
    labels = labels and [labels[i] for i in read]
    inputs = model.inputs(pictures)
    return PicturesToClassify(names, short, pictures, labels, inputs, len(found) - len(read))


def _read(
    paths: list[pathlib.Path], transform: InputTransform
) -> tuple[list[int], NDArray[np.uint8]]:
    """Read pictures; return the places of the readable ones in the list, and these.

    Warn of unreadable ones, refuse a single one.
    """
    read: list[int] = []
    pictures = np.empty((len(paths), *transform.shape), np.uint8)
    with progress_bar('read', iterable=paths) as bar:
        for i, path in enumerate(bar):
            try:
                pictures[len(read)] = picture_files.read(path, transform.shape, transform.fit)
                read.append(i)
            except UserError as error:
                if len(paths) == 1:
                    raise
                with tqdm.external_write_mode(sys.stderr):
                    tell(f'warning: {error}')
    return read, pictures[: len(read)]


def true_labels(
    path: str, found: list[Found], class_names: list[str]
) -> tuple[list[int | None], str | None]:
    """Read the class number of each picture, None if `path` has none; and a warning, or None.

    Args:
        path: A CSV file; see picture_labels.py.
        found: The pictures.
        class_names: The names of the classes, in the order of their numbers.

    Raises:
        UserError: The file is unreadable or malformed, or names none of the pictures.
    """
    lines = picture_labels.read(path, class_names)
    labels, unmatched = picture_labels.assign(lines, found, path)
    if len(unmatched) == len(lines):
        first = f', the first name is {unmatched[0]!r}' if unmatched else ''
        raise UserError(f'{path}: names none of these pictures{first}')
    if not unmatched:
        return labels, None
    return labels, (
        f'{path}: {len(unmatched)} of {len(lines)} names belong to none of these pictures, '
        f'such as {unmatched[0]!r}'
    )


def first_test_images(count: int, data: Dataset, model: Trained) -> PicturesToClassify:
    """Take the first `count` test images, with their labels.

    Raises:
        UserError: There are fewer.
    """
    images, index, labels = image_sets.choose(model, data, 'test')
    if count > len(index):
        raise UserError(f'{count}: there are only {len(index)} test images')
    index = index[:count]
    pictures = figures.colours(data.test_images[index])
    inputs = (x for x, _ in images.batches(index, model.config.batch_size))
    names = [f'test {number}' for number in index]
    return PicturesToClassify(names, names, pictures, labels[:count].tolist(), inputs)


def predict(
    chosen: PicturesToClassify, model: Trained, tta: str, top: int, reject: float = 0
) -> list[predictions.Row]:
    """Predict the class of each picture.

    Args:
        chosen: The pictures.
        model: The net.
        tta: A name in `inference.views`.
        top: How many classes to list.
        reject: The answer is `predictions.UNKNOWN` if no class has this probability.
    """
    with progress_bar('predict', len(chosen.names)) as bar:
        logits = model.scaled_logits(chosen.inputs, tta, bar.update)
    return predictions.rows(chosen.names, logits, model.class_names, top, chosen.labels, reject)


def draw(rows: Sequence[predictions.Row], chosen: PicturesToClassify, path: pathlib.Path) -> None:
    """Draw the pictures with their predictions, the `rows` from `predict`, into a PNG file."""
    captions: list[tuple[str, ...]] = []
    for name, row in zip(chosen.short, rows, strict=True):
        best = row['top'][0]
        truth = [f'truth: {row["label"]}'] if row.get('right') is False else []
        rejected = [predictions.UNKNOWN] if row.get('rejected') else []
        guess = predictions.guess(best['class'], best['probability'])
        captions.append((name, *rejected, guess, *truth))
    title = predictions.score(rows) or counted(len(rows), 'picture')
    figures.gallery(chosen.pictures, captions, path, title, [row.get('right') for row in rows])
