"""Draw filters, activations, mistakes and a training batch of trained weights."""

import pathlib
from collections.abc import Sequence

from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands._weights_parser import load, weights_parser
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation.pictures import NetAndData, pictures

TAKES_BATCH_SIZE = True


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    names = [name.strip() for name in given.only.split(',') if name.strip()]
    if not names:
        raise UserError(f"--only '{given.only}': give some of {', '.join(pictures)}")
    draw = {name: pictures[name] for name in names}
    model = load(given)
    folder = pathlib.Path(given.out) if given.out else model.results
    looked_at = NetAndData(model)
    for name, function in draw.items():
        path = folder / f'{model.name(name)}.png'
        print(f'{name:12} {path if function(looked_at, path) else "nothing to show"}', flush=True)


def _parser(prog: str) -> ArgumentParser:
    parser = weights_parser(prog, __doc__)
    everything = ','.join(pictures)
    parser.add_argument(
        '--only', default=everything, help=f'the pictures to draw (default: {everything})'
    )
    parser.add_argument(
        '--out', default='', metavar='FOLDER', help='where to write (default: results/RUN)'
    )
    return parser
