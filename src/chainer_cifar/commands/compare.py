"""Compare runs: flags that differ, errors, times, and all curves in one picture."""

import pathlib
from collections.abc import Sequence

from chainer_cifar import runs
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands._runs_parser import runs_parser, tell_unread
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.evaluation import comparison, history
from chainer_cifar.streams import printable, tell

PICTURE = runs.RESULTS / 'compare.png'


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    with prefixed('--format '):
        comparison.formats.require(given.format)
    path = pathlib.Path(given.out)
    if path.suffix.lower() != '.png' or path.is_dir():
        raise UserError(f'--out {path}: must be the name of a .png file')
    found, problems = history.read_all(given.runs)
    print(comparison.formats[given.format](found), flush=True)
    if any(run.histories and any(each.rows for each in run.histories) for run in found):
        comparison.draw(found, path)
        written = f'curves  {printable(path)}'
        if given.format == 'table':
            print(f'\n{written}', flush=True)
        else:  # another program reads the output
            tell(written)
    tell_unread(problems, len(found))


def _parser(prog: str) -> ArgumentParser:
    parser = runs_parser(prog, __doc__)
    parser.add_argument(
        '--format',
        default='table',
        help=f'format of the output: {", ".join(comparison.formats)} (default: table)',
    )
    parser.add_argument(
        '--out',
        default=str(PICTURE),
        metavar='FILE.png',
        help=f'where to draw the curves (default: {PICTURE})',
    )
    return parser
