"""Classify picture files, or the first test images, with trained weights.

A picture is cut to the square in its middle, resized to 32x32 and treated as in training.
"""

import pathlib
import sys
import zipfile
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from chainer_cifar import figures
from chainer_cifar.commands.of_weights import load, weights_parser
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import (
    inference,
    picture_files,
    picture_labels,
    predictions,
    sets,
    trained,
)
from chainer_cifar.streams import printable, tell


def main(argv, prog):
    given = _parser(prog).parse_args(argv)
    _check(given, prog)
    model = load(given)
    subject = (_test_images if given.first else _files)(given, model)
    count = len(subject.names)
    with tqdm(total=count, desc='predict', unit='img', leave=False, disable=None) as bar:
        logits = inference.logits(model.net, subject.inputs, given.tta, bar.update)
    rows = predictions.rows(subject.names, logits, model.class_names, given.top, subject.labels)
    print(predictions.formats[given.format](rows), flush=True)
    if given.gallery:
        _draw(rows, subject, given.gallery)
        if given.format == 'table':
            print(f'gallery  {given.gallery}', flush=True)
    if subject.unread:
        raise UserError(f'{subject.unread} of {subject.unread + count} pictures could not be read')


class _Subject(NamedTuple):
    """What is classified.

    Attributes:
        names (list of str): Of the pictures.
        short (list of str): Names for captions.
        pictures (numpy.ndarray): uint8 ``(N, 3, 32, 32)``.
        labels (list): Class numbers, None where not known; or None.
        inputs (iterable): Batches of what the net takes.
        unread (int): How many other files could not be read.
    """

    names: list
    short: list
    pictures: np.ndarray
    labels: list | None
    inputs: Iterable
    unread: int = 0


def _check(given, prog):
    predictions.formats[given.format], inference.views[given.tta]  # before anything takes time
    weights = trained.find(given.weights)
    if weights.suffix != '.npz' and not zipfile.is_zipfile(weights):
        raise UserError(
            f'{weights}: no weights, which must come first, as in: {prog} models/RUN {weights}'
        )
    if given.top < 1:
        raise UserError(f'--top {given.top}: must be a number from 1 up')
    if given.first is None and not given.images:
        raise UserError('give picture files, a folder of them, or --first N for test images')
    if given.first is not None and (given.images or given.labels):
        raise UserError('--first: is for test images, whose labels are known; give no files')
    if given.first is not None and given.first < 1:
        raise UserError(f'--first {given.first}: must be a number from 1 up')
    if given.gallery and not given.gallery.lower().endswith('.png'):
        raise UserError(f'--gallery {given.gallery}: must be the name of a .png file')
    if given.gallery and pathlib.Path(given.gallery).is_dir():
        raise UserError(f'--gallery {given.gallery}: is a folder')


def _files(given, model):
    found = picture_files.find(given.images)
    _check_gallery(given, len(found))
    labels = _labels(given.labels, found, model.class_names) if given.labels else None
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
        model.device.send(model.treatment(pictures[start : start + size]))
        for start in range(0, len(pictures), size)
    )
    return _Subject(names, short, pictures, labels, inputs, len(found) - len(read))


def _labels(path, found, class_names):
    lines = picture_labels.read(path, class_names)
    labels, unmatched = picture_labels.assign(lines, found, path)
    if len(unmatched) == len(lines):
        first = f', the first name is {unmatched[0]!r}' if unmatched else ''
        raise UserError(f'--labels {path}: names none of these pictures{first}')
    if unmatched:
        warning = (
            f'warning: --labels {path}: {len(unmatched)} of {len(lines)} names are of none of '
            f'these pictures, the first of them {unmatched[0]!r}'
        )
        tell(warning)
    return labels


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


def _test_images(given, model):
    data = sets.load(model)
    images, index, labels = sets.choose(model, data, 'test')
    if given.first > len(index):
        raise UserError(f'--first {given.first}: there are only {len(index)} test images')
    _check_gallery(given, given.first)
    index, labels = index[: given.first], labels[: given.first].tolist()
    pictures = figures.colours(data.test_images[index].reshape(-1, 3, 32, 32))
    inputs = (x for x, _ in images.batches(index, model.config.batch_size))
    names = [f'test {number}' for number in index]
    return _Subject(names, names, pictures, labels, inputs)


def _check_gallery(given, count):
    if given.gallery and count > figures.GALLERY:
        raise UserError(
            f'--gallery: {count} pictures are too many for one sheet; at most {figures.GALLERY}'
        )


def _draw(rows, subject, path):
    captions = []
    for name, row in zip(subject.short, rows, strict=True):
        best = row['top'][0]
        truth = [f'truth: {row["label"]}'] if row.get('right') is False else []
        captions.append((name, f'{best["class"]} {100 * best["probability"]:.0f} %', *truth))
    title = predictions.score(rows) or f'{len(rows)} picture{"s" if len(rows) > 1 else ""}'
    figures.gallery(subject.pictures, captions, path, title, [row.get('right') for row in rows])


def _parser(prog):
    parser = weights_parser(prog, __doc__)
    parser.add_argument(
        'images',
        nargs='*',
        default=[],
        metavar='IMAGE',
        help='picture files, or folders, in and below which they are searched',
    )
    parser.add_argument(
        '--first', type=int, default=None, metavar='N', help='the first N test images of the run'
    )
    parser.add_argument(
        '--top', type=int, default=3, metavar='K', help='classes that are told (default: 3)'
    )
    parser.add_argument(
        '--format',
        default='table',
        help=f'of what is printed: {", ".join(predictions.formats)} (default: table)',
    )
    parser.add_argument(
        '--gallery', default='', metavar='FILE.png', help='draw the pictures with predictions'
    )
    parser.add_argument(
        '--labels',
        default='',
        metavar='FILE.csv',
        help='the true classes, lines of name,label, to mark predictions as right or wrong; '
        "name is a picture's path as given, seen from FILE.csv, or seen from the folder that was "
        'searched, or its file name if no other picture has it; label is a class or its number',
    )
    parser.add_argument(
        '--tta',
        default='none',
        help=f'test-time augmentation: {", ".join(inference.views)} (default: none)',
    )
    return parser
