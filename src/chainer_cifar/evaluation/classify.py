"""Classify pictures with trained weights: read them, ask the net, draw a sheet of both."""

import pathlib
import sys
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from chainer_cifar import figures
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import (
    image_sets,
    inference,
    picture_files,
    picture_labels,
    predictions,
)
from chainer_cifar.evaluation.picture_files import Found
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.streams import printable, tell


class PicturesToClassify(NamedTuple):
    """What is classified; `from_files` and `first_test_images` make it.

    Attributes:
        names: Of the pictures.
        short: Names for captions.
        pictures: uint8 ``(N, 3, 32, 32)``.
        labels: Class numbers, None where not known; or None.
        inputs: Batches of what the net takes.
        unread: How many other files could not be read.
    """

    names: list[str]
    short: list[str]
    pictures: np.ndarray
    labels: list | None
    inputs: Iterable
    unread: int = 0


def from_files(found: list[Found], labels: list | None, model: Trained) -> PicturesToClassify:
    """Read picture files. A warning tells of each that cannot be read, unless it is the only one.

    Args:
        found: The files.
        labels: The class number of each, None where not known; or None.
        model: The net and what it takes.

    Raises:
        UserError: None of the files can be read.
    """
    pictures = _read([picture.path for picture in found])
    read = [i for i, picture in enumerate(pictures) if picture is not None]
    if not read:
        raise UserError(f'none of the {len(found)} pictures could be read')
    names = [printable(found[i].path) for i in read]
    short = [printable(found[i].short) for i in read]
    pictures = np.stack([pictures[i] for i in read])
    labels = labels and [labels[i] for i in read]
    size = model.config.batch_size
    inputs = (
        model.device.send(model.input_transform(pictures[start : start + size]))
        for start in range(0, len(pictures), size)
    )
    return PicturesToClassify(names, short, pictures, labels, inputs, len(found) - len(read))


def _read(paths):
    """The pictures; None, and a warning, for what is none. Of one path that is an error."""
    pictures = []
    with tqdm(paths, desc='read', unit='img', leave=False, disable=None) as bar:
        for path in bar:
            try:
                pictures.append(picture_files.read(path))
            except UserError as error:
                if len(paths) == 1:
                    raise
                pictures.append(None)
                with tqdm.external_write_mode(sys.stderr):
                    tell(f'warning: {error}')
    return pictures


def true_labels(path: str, found: list[Found], class_names: list[str]) -> tuple[list, str | None]:
    """The class number of each picture, None where `path` has none; and a warning, or None.

    Args:
        path: A CSV file; see picture_labels.py.
        found: The pictures.
        class_names: In the order of their numbers.

    Raises:
        UserError: The file cannot be read, is malformed, or names none of the pictures.
    """
    lines = picture_labels.read(path, class_names)
    labels, unmatched = picture_labels.assign(lines, found, path)
    if len(unmatched) == len(lines):
        first = f', the first name is {unmatched[0]!r}' if unmatched else ''
        raise UserError(f'{path}: names none of these pictures{first}')
    if not unmatched:
        return labels, None
    return labels, (
        f'{path}: {len(unmatched)} of {len(lines)} names are of none of these pictures, '
        f'the first of them {unmatched[0]!r}'
    )


def first_test_images(count: int, data: Dataset, model: Trained) -> PicturesToClassify:
    """The first `count` test images, whose labels are known.

    Raises:
        UserError: There are not as many.
    """
    images, index, labels = image_sets.choose(model, data, 'test')
    if count > len(index):
        raise UserError(f'{count}: there are only {len(index)} test images')
    index, labels = index[:count], labels[:count].tolist()
    pictures = figures.colours(data.test_images[index].reshape(-1, 3, 32, 32))
    inputs = (x for x, _ in images.batches(index, model.config.batch_size))
    names = [f'test {number}' for number in index]
    return PicturesToClassify(names, names, pictures, labels, inputs)


def predict(chosen: PicturesToClassify, model: Trained, tta: str, top: int) -> list[dict]:
    """What the net says of each picture, as `predictions.rows`.

    Args:
        chosen: The pictures.
        model: The net.
        tta: A name in `inference.views`.
        top: How many classes are told.
    """
    count = len(chosen.names)
    with tqdm(total=count, desc='predict', unit='img', leave=False, disable=None) as bar:
        logits = inference.logits(model.net, chosen.inputs, tta, bar.update)
    return predictions.rows(chosen.names, logits, model.class_names, top, chosen.labels)


def draw(rows: list[dict], chosen: PicturesToClassify, path: str | pathlib.Path) -> None:
    """Draw the pictures with their predictions, `rows` of `predict`, into a PNG file."""
    captions = []
    for name, row in zip(chosen.short, rows, strict=True):
        best = row['top'][0]
        truth = [f'truth: {row["label"]}'] if row.get('right') is False else []
        captions.append((name, f'{best["class"]} {100 * best["probability"]:.0f} %', *truth))
    title = predictions.score(rows) or f'{len(rows)} picture{"s" if len(rows) > 1 else ""}'
    figures.gallery(chosen.pictures, captions, path, title, [row.get('right') for row in rows])
