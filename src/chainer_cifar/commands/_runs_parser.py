"""What the commands that take several runs have in common."""

import argparse
import sys

from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.errors import UserError


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
        print(f'warning: {problem}', file=sys.stderr)
    if problems:
        count = len(problems)
        raise UserError(f'{count} of {count + read} runs could not be read')
