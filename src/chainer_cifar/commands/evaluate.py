"""Measure trained weights: loss, error, per-class numbers and confusion matrix."""

import argparse
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from chainer_cifar import environment, figures, runs
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands._weights_parser import load, weights_parser
from chainer_cifar.errors import prefixed
from chainer_cifar.evaluation import image_sets, inference, report
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.files import atomic_write

TAKES_BATCH_SIZE = True


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    # Check these before anything takes time.
    inference.views.require(given.tta)
    image_sets.choices.require(given.set)
    model = load(given, onnx=True)
    data = image_sets.load(model)
    with prefixed('--set '):
        images, index, labels = image_sets.choose(model, data, given.set)

    batches = (x for x, _ in images.batches(index, model.config.batch_size))
    start = time.perf_counter()
    with tqdm(total=len(index), desc='evaluate', unit='img', leave=False, disable=None) as bar:
        logits = inference.logits(model.net, batches, given.tta, bar.update)
    seconds = time.perf_counter() - start

    numbers = report.measure(logits, labels, model.class_names)
    facts = {
        'weights': str(model.weights),
        'dataset': model.config.dataset,
        'data_of_the_run': data.checksum() == model.data_checksum,
        'set': given.set,
        'images': len(index),
        'tta': given.tta,
        'seconds': round(seconds, 2),
        'images_per_second': round(len(index) / seconds, 1),
        **environment.describe(model.device),
    }
    _write(given, model, facts, numbers, report.text(numbers, logits, labels, model.class_names))


def _write(
    given: argparse.Namespace,
    model: Trained,
    facts: Mapping[str, Any],
    numbers: report.Report,
    text: str,
) -> None:
    title = f'{facts["weights"]}: {facts["images"]:,} {given.set} images of {facts["dataset"]}'
    if given.tta != 'none':
        title += f', --tta {given.tta}'
    if not facts['data_of_the_run']:
        title += ' (not the data it was trained on)'
    matrix = report.matrix_text(numbers['confusion'], model.class_names)
    folder = pathlib.Path(given.out) if given.out else model.results
    words = [given.set] if given.tta == 'none' else [given.set, given.tta]
    name = model.name(runs.REPORT, *words)
    with atomic_write(folder / f'{name}.txt', 'w') as file:
        file.write(f'{title}\n{text}\n\n{matrix}\n')
    with atomic_write(folder / f'{name}.json', 'w') as file:
        json.dump({**facts, **numbers}, file, indent=1)
    picture = folder / f'{model.name(runs.CONFUSION, *words)}.png'
    heading = f'{model.config.prefix}, {" ".join(words)}: error {numbers["error"]:.2f} %'
    figures.confusion(numbers['confusion'], model.class_names, heading, picture)

    print(f'{title}, {facts["images_per_second"]:.0f} images/s\n{text}\n')
    if len(model.class_names) <= report.SCREEN_CLASSES:
        print(f'{matrix}\n')
    print(f'report     {folder / name}.txt  {folder / name}.json\nconfusion  {picture}')


def _parser(prog: str) -> ArgumentParser:
    parser = weights_parser(prog, __doc__)
    parser.add_argument(
        '--set',
        default='test',
        help=f'which images: {", ".join(image_sets.choices)} (default: test)',
    )
    parser.add_argument(
        '--tta',
        default='none',
        help='test-time augmentation, the mean of the logits of several views: '
        f'{", ".join(inference.views)} (default: none)',
    )
    parser.add_argument(
        '--out', default='', metavar='FOLDER', help='where to write (default: results/RUN)'
    )
    return parser
