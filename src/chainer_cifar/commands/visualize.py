"""Draw what a net learned: its filters, activations, mistakes, and a batch it was trained on."""

import argparse
import pathlib

from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import trained
from chainer_cifar.evaluation.pictures import Subject, pictures
from chainer_cifar.training.config import TrainConfig


def main(argv, prog):
    given = _parser(prog).parse_args(argv)
    flags = {name: value for name, value in vars(given).items() if name not in _OWN}
    names = [name.strip() for name in given.only.split(',') if name.strip()]
    if not names:
        raise UserError(f"--only '{given.only}': give some of {', '.join(pictures)}")
    draw = {name: pictures[name] for name in names}
    model = trained.load(given.weights, flags)
    folder = pathlib.Path(given.out) if given.out else model.results
    subject = Subject(model)
    for name, function in draw.items():
        path = folder / f'{model.name(name)}.png'
        print(f'{name:12} {path if function(subject, path) else "nothing to show"}', flush=True)


_OWN = ('weights', 'only', 'out')


def _parser(prog):
    parser = ArgumentParser(prog=prog, description=__doc__, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        'weights', metavar='WEIGHTS', help=f'a run, models/RUN (its {trained.WEIGHTS}), or a file'
    )
    everything = ','.join(pictures)
    parser.add_argument(
        '--only', default=everything, help=f'the pictures to draw (default: {everything})'
    )
    parser.add_argument(
        '--out', default='', metavar='FOLDER', help='where to write (default: results/RUN)'
    )
    names = ('gpu', 'batch_size', 'dataset', 'label', 'cpu_engine')
    add_flags(parser, TrainConfig, names, default='that of the run')
    return parser
