"""Measure trained weights: loss, error, per-class numbers and confusion matrix."""

import argparse
import json
import pathlib
import time

from tqdm import tqdm

from chainer_cifar import figures
from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.evaluation import inference, report, sets, trained
from chainer_cifar.files import atomic_write
from chainer_cifar.training import environment
from chainer_cifar.training.config import TrainConfig


def main(argv, prog):
    given = _parser(prog).parse_args(argv)
    flags = {name: value for name, value in vars(given).items() if name not in _OWN}
    inference.views[given.tta], sets.sets[given.set]  # before anything takes time
    model = trained.load(given.weights, flags)
    data = sets.load(model)
    images, index, labels = sets.choose(model, data, given.set)

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


def _write(given, model, facts, numbers, text):
    title = f'{facts["weights"]}: {facts["images"]:,} {given.set} images of {facts["dataset"]}'
    if given.tta != 'none':
        title += f', --tta {given.tta}'
    if not facts['data_of_the_run']:
        title += ' (not the data it was trained on)'
    matrix = report.matrix_text(numbers['confusion'], model.class_names)
    folder = pathlib.Path(given.out) if given.out else model.results
    words = [given.set] if given.tta == 'none' else [given.set, given.tta]
    name = model.name('report', *words)
    with atomic_write(folder / f'{name}.txt', 'w') as file:
        file.write(f'{title}\n{text}\n\n{matrix}\n')
    with atomic_write(folder / f'{name}.json', 'w') as file:
        json.dump({**facts, **numbers}, file, indent=1)
    picture = folder / f'{model.name("confusion", *words)}.png'
    heading = f'{model.config.prefix}, {" ".join(words)}: error {numbers["error"]:.2f} %'
    figures.confusion(numbers['confusion'], model.class_names, heading, picture)

    print(f'{title}, {facts["images_per_second"]:.0f} images/s\n{text}\n')
    if len(model.class_names) <= report.SCREEN_CLASSES:
        print(f'{matrix}\n')
    print(f'report     {folder / name}.txt  {folder / name}.json\nconfusion  {picture}')


_OWN = ('weights', 'set', 'tta', 'out')


def _parser(prog):
    parser = ArgumentParser(prog=prog, description=__doc__, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        'weights', metavar='WEIGHTS', help=f'a run, models/RUN (its {trained.WEIGHTS}), or a file'
    )
    parser.add_argument(
        '--set', default='test', help=f'which images: {", ".join(sets.sets)} (default: test)'
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
    names = ('gpu', 'batch_size', 'dataset', 'label', 'cpu_engine')
    add_flags(parser, TrainConfig, names, default='that of the run')
    return parser
