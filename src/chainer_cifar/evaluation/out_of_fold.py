"""Put the folds of a cross-validation together: each image is judged by the net that never saw it.

That gives one confusion matrix for all training images, and which labels may be wrong.
"""

import csv
import json
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import figures, npz_file, runs
from chainer_cifar.arrays import Array
from chainer_cifar.data import store
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import image_sets, inference, report, suspects, trained
from chainer_cifar.evaluation.history import SeveralSeeds
from chainer_cifar.files import atomic_write, open_text
from chainer_cifar.paths import straight
from chainer_cifar.runs import RunFolder
from chainer_cifar.table import counted

NAME = 'folds'  # in the names of files, as test is of a report on the test images


class OutOfFold(NamedTuple):
    """What the nets of all folds say.

    Attributes:
        logits: float32 ``(N, K)``.
        data: The images that they are of: those for training.
    """

    logits: NDArray[np.float32]
    data: Dataset


def gather(found: SeveralSeeds) -> OutOfFold:
    """Judge each training image by the weights of the fold in which it validated.

    Raises:
        UserError: Files are missing or damaged.
    """
    logits: NDArray[np.float32] | None = None
    # As typed last: the data may have moved since the folds began, to a machine without that GPU.
    flags = {name: found.flags[name] for name in ('gpu', 'cpu_engine', 'dataset', 'label')}
    for history in found.histories:
        weights = history.folder.weights
        if history.summary.get('chosen_by') != 'last epoch':  # by a version that kept these, too
            last = history.rows[-1]
            weights = history.folder.epoch_weights(int(last['epoch']))
            if not weights.exists():  # not one of those that --save_iter keeps
                weights = history.folder.snapshot(int(last['iteration']))
        model = trained.load(weights, flags)
        data = image_sets.load(model)
        images, index, _ = image_sets.choose(model, data, 'valid')
        if logits is None:
            logits = np.full((len(data.train_labels), data.n_class), np.nan, np.float32)
        logits[index] = image_sets.logits(model, images, index)
    if logits is None or np.isnan(logits).any():
        raise UserError(f'{found.folder.results}: not all folds are finished; go on with --resume')
    return OutOfFold(logits, data)


def read(found: SeveralSeeds, n_class: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Read what `write` kept: logits ``(N, n_class)`` and labels ``(N,)``.

    Raises:
        FileNotFoundError: There is nothing.
        UserError: The file is damaged.
    """
    path = found.folder.results / runs.OUT_OF_FOLD
    try:
        arrays = npz_file.read(path)
        if missing := {'logits', 'labels'} - arrays.keys():
            raise npz_file.Damaged(f'{min(missing)!r} is missing')
        logits, labels = arrays['logits'], arrays['labels']
        if labels.dtype.kind != 'i' or labels.ndim != 1 or not len(labels):
            raise npz_file.Damaged('its labels are no numbers of classes')
        if logits.dtype.kind != 'f' or logits.shape != (len(labels), n_class):
            raise npz_file.Damaged(f'it does not tell {n_class} numbers of each image')
        if not (labels.min() >= 0 and labels.max() < n_class and np.isfinite(logits).all()):
            raise npz_file.Damaged('numbers in it are out of range')
    except npz_file.Damaged as error:
        raise UserError(f'{path}: cannot be read ({error})') from None
    return logits.astype(np.float32), labels.astype(np.int32)


def write(found: SeveralSeeds) -> list[str]:
    """Write report, confusion matrix and suspected labels of all folds into the run's folder.

    Returns:
        Lines that tell of them.
    """
    logits, data = gather(found)
    labels, names, folder = data.train_labels, data.class_names, found.folder
    numbers = report.measure(logits, labels, names)
    matrix = report.matrix_text(numbers['confusion'], names)
    title = f'{found.name}: {len(labels):,} images, judged by nets that never saw them'
    base = folder.results / f'{runs.REPORT}-{NAME}'
    with atomic_write(base.with_suffix('.txt'), 'w') as file:
        file.write(f'{title}\n{report.text(numbers, logits, labels, names)}\n\n{matrix}\n')
    with atomic_write(base.with_suffix('.json'), 'w') as file:
        json.dump({'set': NAME, 'images': len(labels), **numbers}, file, indent=1)
    with atomic_write(folder.results / runs.OUT_OF_FOLD) as file:
        np.savez(file, logits=logits, labels=labels)
    picture = folder.results / f'{runs.CONFUSION}-{NAME}.png'
    figures.confusion(
        numbers['confusion'], names, f'{found.name}: error {numbers["error"]:.2f} %', picture
    )
    return [
        f'all folds  error {numbers["error"]:.2f} % of {len(labels):,} images',
        f'report     {base}.txt  {base}.json',
        f'confusion  {picture}',
        *_suspects(folder, logits, data, names_of(found, data)),
    ]


def _suspects(folder: RunFolder, logits: Array, data: Dataset, files: list[str]) -> list[str]:
    labels = data.train_labels
    found = suspects.find(np.exp(inference.log_probabilities(logits)), labels)
    table, picture = (folder.results / name for name in (runs.SUSPECTS_TABLE, runs.SUSPECTS))
    suspects.write(found, labels, data.class_names, files, table)
    if not len(found.places):
        picture.unlink(missing_ok=True)
        return ['no label seems wrong']
    shown = figures.colours(np.asarray(data.train_images[found.places[: suspects.SHOWN]]))
    count = counted(len(found.places), 'label')
    title = f'{folder.name}: {count} that may be wrong, the most doubtful first'
    suspects.draw(found, shown, labels, data.class_names, files, picture, title)
    return [f'suspects   {count} may be wrong: {table}  {picture}']


def names_of(found: SeveralSeeds, data: Dataset) -> list[str]:
    """Name the training images: by their files, where these are known, else by their numbers."""
    count = len(data.train_labels)
    path = pathlib.Path(str(found.flags['label'])).with_name(store.PICTURES_FILE)
    try:
        with open_text(path, errors='surrogateescape') as file:
            rows: list[dict[str, Any]] = list(csv.DictReader(file))
        if len(rows) == count + len(data.test_labels):
            # In the table they are as seen from its folder; the user is where dataset/ is.
            files = [straight(path.parent / str(row['path'])) for row in rows[:count]]
            return list(map(str if path.is_absolute() else os.path.relpath, files))
    except (OSError, KeyError, csv.Error, UnicodeError):
        pass
    return [f'train {number}' for number in range(count)]
