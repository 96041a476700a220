"""Show the layers of a net, their output shapes, parameters and multiply-adds."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import chainer
import numpy as np

from chainer_cifar import nets
from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import layers, trained


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    flags = {name: value for name, value in vars(given).items() if name not in _OWN}
    if given.depth is not None and given.depth < 1:
        raise UserError(f'--depth {given.depth}: must be a number from 1 up')
    net = _from_run(given, flags) if given.weights else _by_name(given, flags)
    print(layers.table(*layers.trace(net, np.zeros((1, 3, 32, 32), np.float32)), given.depth))


def _from_run(given: argparse.Namespace, flags: Mapping[str, Any]) -> chainer.Chain:
    if flags or given.n_class is not None:
        flag = next(iter(flags), 'n_class')
        raise UserError(f'--{flag}: {given.weights} says which net to show; leave the flag out')
    return trained.load(given.weights, {'gpu': -1, 'cpu_engine': 'chainer'}).net


def _by_name(given: argparse.Namespace, flags: Mapping[str, Any]) -> chainer.Chain:
    if 'model' not in flags:
        raise UserError('give a net with -m (train.py --list_models tells them), or a run')
    n_class = 10 if given.n_class is None else given.n_class
    if n_class < 1:
        raise UserError(f'--n_class {n_class}: must be a number from 1 up')
    config = TrainConfig(**flags)
    return config.create_net(n_class)


_OWN = ('weights', 'n_class', 'depth')


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(prog=prog, description=__doc__, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        'weights',
        nargs='?',
        default=None,
        metavar='RUN',
        help='a run, as models/RUN or RUN; or a file of weights',
    )
    add_flags(parser, TrainConfig, ('model', *nets.option_names()))
    parser.add_argument(
        '--n_class', type=int, default=None, metavar='INT', help='classes (default: 10)'
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
