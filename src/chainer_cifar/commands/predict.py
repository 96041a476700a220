"""Classify picture files, or the first test images, with trained weights.

A picture is made as large as those of the training, cut, padded or squashed as they were, and
treated as in training.
"""

import argparse
import pathlib
import zipfile
from collections.abc import Sequence

from chainer_cifar import figures
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands._answer_flags import add_answer_flags, check_answer_flags
from chainer_cifar.commands._weights_parser import load, weights_parser
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.evaluation import (
    classify,
    image_sets,
    picture_files,
    predictions,
    trained,
)
from chainer_cifar.evaluation.classify import PicturesToClassify
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.export import session
from chainer_cifar.streams import printable, tell

TAKES_BATCH_SIZE = True


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    _check(given, prog)
    model = load(given, onnx=True)
    chosen = (_test_images if given.first else _files)(given, model)
    rows = classify.predict(chosen, model, given.tta, given.top, given.reject)
    print(predictions.formats[given.format](rows), flush=True)
    if given.gallery:
        classify.draw(rows, chosen, pathlib.Path(given.gallery))
        if given.format == 'table':
            print(f'gallery  {printable(given.gallery)}', flush=True)
    if chosen.unread:
        count = chosen.unread + len(rows)
        raise UserError(f'{chosen.unread} of {count} pictures could not be read')


def _check(given: argparse.Namespace, prog: str) -> None:
    # This comes before anything takes time.
    with prefixed('--format '):
        predictions.formats.require(given.format)
    check_answer_flags(given)
    weights = trained.find(given.weights)
    if weights.suffix not in ('.npz', session.SUFFIX) and not zipfile.is_zipfile(weights):
        raise UserError(
            f'{weights}: no weights, which must come first, as in: {prog} models/RUN {weights}'
        )
    if given.first is None and not given.images:
        raise UserError('give picture files, a folder of them, or --first N for test images')
    if given.first is not None:
        if given.images or given.labels:
            raise UserError('--first: is for test images, whose labels are known; give no files')
        if given.first < 1:
            raise UserError(f'--first {given.first}: must be a number from 1 up')
    if given.gallery:
        if not given.gallery.lower().endswith('.png'):
            raise UserError(f'--gallery {given.gallery}: must be the name of a .png file')
        if pathlib.Path(given.gallery).is_dir():
            raise UserError(f'--gallery {given.gallery}: is a folder')


def _files(given: argparse.Namespace, model: Trained) -> PicturesToClassify:
    found = picture_files.find(given.images)
    _check_gallery(given, len(found))
    labels = None
    if given.labels:
        with prefixed('--labels '):
            labels, warning = classify.true_labels(given.labels, found, model.class_names)
        if warning:
            tell(f'warning: --labels {warning}')
    return classify.from_files(found, labels, model)


def _test_images(given: argparse.Namespace, model: Trained) -> PicturesToClassify:
    data = image_sets.load(model)
    with prefixed('--first '):
        chosen = classify.first_test_images(given.first, data, model)
    _check_gallery(given, given.first)
    return chosen


def _check_gallery(given: argparse.Namespace, count: int) -> None:
    if given.gallery and count > figures.GALLERY:
        raise UserError(
            f'--gallery: {count} pictures are too many for one sheet; at most {figures.GALLERY}'
        )


def _parser(prog: str) -> ArgumentParser:
    parser = weights_parser(prog, __doc__, onnx=True)
    parser.add_argument(
        'images',
        nargs='*',
        default=[],
        metavar='IMAGE',
        help='picture files, or folders to search for them',
    )
    parser.add_argument(
        '--first', type=int, default=None, metavar='N', help='the first N test images of the run'
    )
    add_answer_flags(parser, top=3)
    parser.add_argument(
        '--format',
        default='table',
        help=f'format of the output: {", ".join(predictions.formats)} (default: table)',
    )
    parser.add_argument(
        '--gallery', default='', metavar='FILE.png', help='draw the pictures with their predictions'
    )
    parser.add_argument(
        '--labels',
        default='',
        metavar='FILE.csv',
        help='the true classes, lines of name,label, to mark predictions as right or wrong; '
        "name is a picture's path as given, seen from FILE.csv, or seen from the folder that was "
        'searched, or its file name if no other picture has it; label is a class or its number',
    )
    return parser
