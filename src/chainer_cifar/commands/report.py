"""Write a report of runs as one HTML page: curves, confusion matrix, mistakes."""

import pathlib
from collections.abc import Sequence

from chainer_cifar import runs
from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.commands._runs_parser import runs_parser, tell_unread
from chainer_cifar.commands._weights_parser import REPLACEABLE
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import history, trained
from chainer_cifar.pages import page
from chainer_cifar.streams import printable, tell

TAKES_BATCH_SIZE = True


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    out = given.out and pathlib.Path(given.out)
    if out and (out.suffix.lower() not in ('.html', '.htm') or out.is_dir()):
        raise UserError(f'--out {out}: must be the name of an .html file')
    found, problems = history.read_all(given.runs)
    path = out or (found[0].folder.page if len(found) == 1 else runs.RESULTS / runs.PAGE)
    flags = {name: getattr(given, name) for name in REPLACEABLE if name in given}
    # A page without what a net says is of use; but not where a flag makes no sense.
    trained.replace(TrainConfig(), flags)[0].open_device()
    for note in page.write(found, path, flags):
        tell(f'warning: {note}')
    print(f'report  {printable(path)}', flush=True)
    tell_unread(problems, len(found))


def _parser(prog: str) -> ArgumentParser:
    parser = runs_parser(prog, __doc__)
    add_flags(parser, TrainConfig, REPLACEABLE, default='of_run')
    parser.add_argument(
        '--out',
        default='',
        metavar='FILE.html',
        help=f'where to write (default: results/RUN/{runs.PAGE}; for several runs, '
        f'{runs.RESULTS / runs.PAGE})',
    )
    return parser
