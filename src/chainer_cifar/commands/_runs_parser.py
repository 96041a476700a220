"""What the commands that take several runs have in common."""

import argparse

from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.errors import UserError
from chainer_cifar.streams import tell


def runs_parser(prog, description):
    """A parser with RUN…; see history.read_all."""
    parser = ArgumentParser(prog=prog, description=description, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUN',
        help='runs, of one seed or of several, as RUN, results/RUN or models/RUN',
    )
    return parser


def tell_unread(problems, read):
    """Tell what could not be read, of the other `read` runs, at the end; UserError if any."""
    for problem in problems:
        tell(f'warning: {problem}')
    if problems:
        count = len(problems)
        raise UserError(f'{count} of {count + read} runs could not be read')
