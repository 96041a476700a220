"""Precompute the preprocessed pictures.

This writes label.pkl, classes.json, image*.pkl, their statistics and samples.
"""

import argparse
import math
import pathlib
from collections.abc import Sequence

from chainer_cifar import figures
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.data import prepare
from chainer_cifar.data.preprocess import preprocessing
from chainer_cifar.data.sources import sources
from chainer_cifar.errors import UserError


def main(argv: Sequence[str], prog: str) -> None:
    args = parse(argv, prog)
    names = args.only.split(',')
    for name in names:  # before anything takes time
        preprocessing.require(name)
    raw = sources[args.source](args.dir)
    out = pathlib.Path(args.out or default_out(args.source))
    prepare.write(raw, names, out, args.eps, draw=figures.image_sheet)


def parse(argv: Sequence[str], prog: str) -> argparse.Namespace:
    """Parse and check the arguments."""
    parser = ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--source', default='cifar10', help=f'pictures: {", ".join(sources)}')
    parser.add_argument('--dir', default='dataset', help='folder that holds the extracted archive')
    parser.add_argument(
        '--only', default=','.join(preprocessing), help='the preprocessings to compute'
    )
    parser.add_argument(
        '--out',
        default=argparse.SUPPRESS,
        help='folder to write to (default: dataset for cifar10, dataset/SOURCE for the others)',
    )
    parser.add_argument(
        '--eps',
        type=float,
        default=1e-5,
        help='added to each eigenvalue before whitening, in units of their mean: 0 whitens '
        'fully, 0.1 leaves the fine noise and the JPEG artefacts as weak as they are',
    )
    args = parser.parse_args(argv, argparse.Namespace(out=None))
    if not (math.isfinite(args.eps) and args.eps >= 0):
        raise UserError(f'--eps {args.eps}: must be a number >= 0')
    return args


def default_out(source: str) -> str:
    """Give each source its own folder, so that digits never replace CIFAR-10."""
    return 'dataset' if source == 'cifar10' else f'dataset/{source}'
