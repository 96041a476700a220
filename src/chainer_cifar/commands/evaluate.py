"""Measure trained weights: loss, error, per-class numbers and confusion matrix."""

import argparse
import dataclasses
import json
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import environment, figures, files, runs
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands._weights_parser import load, require_folder, weights_parser
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.evaluation import (
    calibration,
    image_sets,
    inference,
    raw_pictures,
    report,
    robustness,
)
from chainer_cifar.evaluation.calibration import Calibration
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.export import session
from chainer_cifar.files import atomic_write
from chainer_cifar.streams import printable, progress_bar, tell
from chainer_cifar.table import counted

TAKES_BATCH_SIZE = True


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    # Check these before anything takes time.
    inference.views.require(given.tta)
    image_sets.choices.require(given.set)
    if given.limit is not None and given.limit < 1:
        raise UserError(f'--limit {given.limit}: must be a number from 1 up')
    if given.corrupt and given.tta != 'none':
        raise UserError('--corrupt: measures without test-time augmentation; leave out --tta')
    require_folder(given.out)
    model = load(given, onnx=True)
    if given.calibrate and model.weights.suffix == session.SUFFIX:
        raise UserError(f'--calibrate: {model.weights}: give the run, then export it again')
    data = image_sets.load(model)
    with prefixed('--set '):
        images, index, labels = image_sets.choose(model, data, given.set)
    if given.limit is not None:
        places = image_sets.spread(np.arange(len(index)), given.limit)
        index, labels = index[places], labels[places]
    if given.calibrate:
        model = _calibrate(model, data)

    start = time.perf_counter()
    logits = image_sets.logits(model, images, index, given.tta)
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
    text = report.text(numbers, logits, labels, model.class_names)
    _write(given, model, facts, numbers, text, _calibrations(model, logits, labels))
    if given.corrupt:
        _corrupt(given, model, facts, _pictures(model, data, given.set, index), labels)


def _calibrate(model: Trained, data: Dataset) -> Trained:
    """Choose the temperature on validation images, write it beside the weights, and take it."""
    with prefixed('--calibrate: --set '):
        images, index, labels = image_sets.choose(model, data, 'valid')
    with prefixed('--calibrate: '):
        temperature = calibration.fit(image_sets.logits(model, images, index), labels)
        if files.stamp(model.weights) != model.stamp:
            raise UserError(
                f'{model.weights}: was replaced while its images were looked at; try again when '
                f'nobody trains it any more'
            )
    path = calibration.write(model.weights, temperature)
    print(
        f'temperature  {temperature:.3f}, of {len(index):,} validation images, in {printable(path)}'
    )
    if len(index) < calibration.FEW:
        tell(
            f'warning: --calibrate: {len(index)} validation images tell little of it; see whether '
            f'the calibration error falls, and remove {path} if not'
        )
    return dataclasses.replace(model, temperature=temperature)


def _calibrations(
    model: Trained, logits: NDArray[np.float32], labels: image_sets.Labels
) -> dict[str, Calibration]:
    """Measure how right probabilities are, by what they are called; with a temperature, twice."""
    found = {'plain': calibration.measure(logits, labels)}
    if model.temperature != 1:
        found['scaled'] = calibration.measure(logits, labels, model.temperature)
    return found


def _write(
    given: argparse.Namespace,
    model: Trained,
    facts: Mapping[str, Any],
    numbers: report.Report,
    text: str,
    calibrations: Mapping[str, Calibration],
) -> None:
    images = counted(facts['images'], f'{given.set} image')
    title = f'{facts["weights"]}: {images} of {facts["dataset"]}'
    if given.tta != 'none':
        title += f', --tta {given.tta}'
    if not facts['data_of_the_run']:
        title += ' (not the data it was trained on)'
    matrix = report.matrix_text(numbers['confusion'], model.class_names)
    sure = '\n'.join(_told(model, name, each) for name, each in calibrations.items())
    folder = pathlib.Path(given.out) if given.out else model.results
    words = _words(given)
    name = model.name(runs.REPORT, *words)
    with atomic_write(folder / f'{name}.txt', 'w') as file:
        file.write(f'{title}\n{text}\n\n{sure}\n\n{matrix}\n')
    with atomic_write(folder / f'{name}.json', 'w') as file:
        measured = {'temperature': model.temperature, 'calibration': calibrations}
        json.dump({**facts, **numbers, **measured}, file, indent=1)
    picture = folder / f'{model.name(runs.CONFUSION, *words)}.png'
    heading = f'{model.config.prefix}, {" ".join(words)}: error {numbers["error"]:.2f} %'
    figures.confusion(numbers['confusion'], model.class_names, heading, picture)
    diagram = folder / f'{model.name(runs.RELIABILITY, *words)}.png'
    parts = [_part(model, name, each) for name, each in calibrations.items()]
    figures.reliability(parts, f'{model.config.prefix}, {" ".join(words)}', diagram)

    print(f'{printable(title)}, {facts["images_per_second"]:.0f} images/s\n{text}\n\n{sure}\n')
    if len(model.class_names) <= report.SCREEN_CLASSES:
        print(f'{matrix}\n')
    print(printable(f'report       {folder / name}.txt  {folder / name}.json'))
    print(printable(f'confusion    {picture}'), printable(f'reliability  {diagram}'), sep='\n')


def _words(given: argparse.Namespace) -> list[str]:
    """Say what is measured, for the names of files."""
    words = [given.set]
    if given.limit is not None:
        words.append(f'limit{given.limit}')
    return words if given.tta == 'none' else [*words, given.tta]


def _pictures(
    model: Trained, data: Dataset, name: str, index: image_sets.Index
) -> NDArray[np.uint8]:
    raw = raw_pictures.of(model, data)
    images = raw.test_images if name == 'test' else raw.train_images
    return np.ascontiguousarray(images[index], np.uint8)


def _corrupt(
    given: argparse.Namespace,
    model: Trained,
    facts: Mapping[str, Any],
    pictures: NDArray[np.uint8],
    labels: image_sets.Labels,
) -> None:
    with progress_bar('corrupt', robustness.rounds() * len(labels)) as bar:
        found = robustness.measure(model, pictures, labels, bar.update)
    folder = pathlib.Path(given.out) if given.out else model.results
    path = folder / model.name(runs.CORRUPTED, *_words(given))
    text = robustness.text(found)
    with atomic_write(f'{path}.txt', 'w') as file:
        images = counted(len(labels), f'{given.set} image')
        file.write(f'{facts["weights"]}: {images}\n{text}\n')
    with atomic_write(f'{path}.json', 'w') as file:
        json.dump({**facts, **found}, file, indent=1)
    images = counted(len(labels), 'image')
    title = f'{model.config.prefix}: error by corruption and strength, {images}'
    robustness.draw(found, pictures, title, pathlib.Path(f'{path}.png'))
    written = printable(f'{path}.txt  {path}.json  {path}.png')
    print(f'\n{text}\n\ncorrupted    {written}')


def _told(model: Trained, name: str, found: Calibration) -> str:
    """Put the calibration into a line; `name` is plain or scaled."""
    scaled = f'  with temperature {model.temperature:.3f}' if name == 'scaled' else ''
    loss = f'  loss {found["loss"]:.4f}' if scaled else ''
    return f'calibration error {found["ece"]:.2f} %{loss}{scaled}'


def _part(model: Trained, name: str, found: Calibration) -> 'figures.Part':
    heading = f'calibration error {found["ece"]:.2f} %'
    if name == 'scaled':
        heading = f'temperature {model.temperature:.3f}: {heading}'
    bins = found['bins']
    images = [b['images'] for b in bins]
    return heading, images, [b['confidence'] for b in bins], [b['accuracy'] for b in bins]


def _parser(prog: str) -> ArgumentParser:
    parser = weights_parser(prog, __doc__, onnx=True)
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
        '--limit',
        type=int,
        default=None,
        metavar='N',
        help='only N images of the set, evenly spread over it (default: all)',
    )
    parser.add_argument(
        '--corrupt',
        action='store_true',
        default=False,
        help='also spoil the pictures in fifteen ways at five strengths, as CIFAR-10-C does, and '
        'tell the error at each; it takes as long as measuring 76 times, see --limit',
    )
    parser.add_argument(
        '--calibrate',
        action='store_true',
        default=False,
        help='choose the temperature, by which logits are divided, on validation images; keep it '
        'beside the weights, where predict and export find it',
    )
    parser.add_argument(
        '--out', default='', metavar='FOLDER', help='where to write (default: results/RUN)'
    )
    return parser
