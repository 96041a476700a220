"""Show the layers of a net, their output shapes, parameters and multiply-adds."""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any

import chainer
import numpy as np

from chainer_cifar import nets
from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.commands._weights_parser import find_with_layers
from chainer_cifar.config import TrainConfig
from chainer_cifar.data import store
from chainer_cifar.data.store import LARGEST, Shape
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import layers, trained


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    flags = {name: value for name, value in vars(given).items() if name not in _OWN}
    if given.depth is not None and given.depth < 1:
        raise UserError(f'--depth {given.depth}: must be a number from 1 up')
    net, shape = _from_run(given, flags) if given.weights else _by_name(given, flags)
    print(layers.table(*layers.trace(net, np.zeros((1, *shape), np.float32)), given.depth))


def _from_run(given: argparse.Namespace, flags: Mapping[str, Any]) -> tuple[chainer.Chain, Shape]:
    own = {'n_class': given.n_class, 'size': given.size, 'grey': given.grey or None}
    typed = [*flags, *(name for name, value in own.items() if value is not None)]
    if typed:
        raise UserError(f'--{typed[0]}: {given.weights} says which net to show; leave the flag out')
    model = trained.load(find_with_layers(given.weights), {'gpu': -1, 'cpu_engine': 'chainer'})
    return model.net, model.input_transform.shape


def _by_name(given: argparse.Namespace, flags: Mapping[str, Any]) -> tuple[chainer.Chain, Shape]:
    if 'model' not in flags:
        raise UserError('give a net with -m (train.py --list_models tells them), or a run')
    n_class = 10 if given.n_class is None else given.n_class
    if n_class < 1:
        raise UserError(f'--n_class {n_class}: must be a number from 1 up')
    config = TrainConfig(**flags)
    shape = _shape_of_data(given, config) if 'dataset' in flags else _shape(given)
    return config.create_net(n_class, shape), shape


def _shape(given: argparse.Namespace) -> Shape:
    """Read --size and --grey."""
    channels = 1 if given.grey else 3
    if given.size is None:
        return channels, *nets.CIFAR[1:]
    found = re.fullmatch(r'(\d{1,5})(?:x(\d{1,5}))?', given.size)
    width, height = (int(side) for side in (found[1], found[2] or found[1])) if found else (0, 0)
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise UserError(
            f'--size {given.size}: must be a number of pixels from 1 to {LARGEST}, or width and '
            f'height, as in 64x48'
        )
    return channels, height, width


def _shape_of_data(given: argparse.Namespace, config: TrainConfig) -> Shape:
    if given.size is not None or given.grey:
        flag = 'grey' if given.size is None else 'size'
        raise UserError(f'--{flag}: {config.dataset} says how large images are; leave it out')
    images = store.read_images(config.dataset)['train']
    return store.require_shape(images.shape[1:])


_OWN = ('weights', 'n_class', 'size', 'grey', 'depth')


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(prog=prog, description=__doc__, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        'weights',
        nargs='?',
        default=None,
        metavar='RUN',
        help='a run, as models/RUN or RUN; or a file of weights',
    )
    add_flags(parser, TrainConfig, ('model', 'dataset'), default='')  # they have none here
    add_flags(parser, TrainConfig, nets.option_names())
    parser.add_argument(
        '--n_class', type=int, default=None, metavar='INT', help='classes (default: 10)'
    )
    parser.add_argument(
        '--size',
        default=None,
        metavar='PIXELS',
        help='width and height of the images, or both as in 64x48 (default: 32, or those of -d)',
    )
    parser.add_argument(
        '--grey', action='store_true', default=False, help='the images have one channel, not three'
    )
    parser.add_argument(
        '--depth',
        type=int,
        default=None,
        metavar='INT',
        help='how deep to go into the net: 1 shows its direct children only '
        f'(default: as deep as {layers.LINES} lines allow)',
    )
    return parser
