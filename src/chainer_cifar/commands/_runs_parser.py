"""Parse what all commands that take several runs have in common."""

import argparse
from collections.abc import Sequence

from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.errors import UserError
from chainer_cifar.streams import tell


def runs_parser(prog: str, description: str | None) -> ArgumentParser:
    """Make a parser with RUN…; see history.read_all."""
    parser = ArgumentParser(prog=prog, description=description, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUN',
        help='runs, of one seed or of several, as RUN, results/RUN or models/RUN',
    )
    return parser


def tell_unread(problems: Sequence[str], read: int) -> None:
    """Warn of each unreadable run, beside `read` others; raise UserError if there is one."""
    for problem in problems:
        tell(f'warning: {problem}')
    if problems:
        count = len(problems)
        raise UserError(f'{count} of {count + read} runs could not be read')
