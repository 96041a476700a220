"""The flags on how a net answers, of all commands that let it name what is in pictures."""

import argparse

from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import inference, predictions


def add_answer_flags(parser: ArgumentParser, top: int) -> None:
    """Add --top, with this default, --reject and --tta; see `check_answer_flags`."""
    parser.add_argument(
        '--top',
        type=int,
        default=top,
        metavar='K',
        help=f'how many classes to list (default: {top})',
    )
    parser.add_argument(
        '--reject',
        type=float,
        default=0.0,
        metavar='P',
        help=f"answer '{predictions.UNKNOWN}' where no class has this probability, "
        'as 0.6 (default: 0, always answer a class)',
    )
    parser.add_argument(
        '--tta',
        default='none',
        help=f'test-time augmentation: {", ".join(inference.views)} (default: none)',
    )


def check_answer_flags(given: argparse.Namespace) -> None:
    """Raise UserError if one of them makes no sense."""
    inference.views.require(given.tta)
    if given.top < 1:
        raise UserError(f'--top {given.top}: must be a number from 1 up')
    if not 0 <= given.reject <= 1:
        raise UserError(f'--reject {given.reject}: must be a number from 0 to 1')
