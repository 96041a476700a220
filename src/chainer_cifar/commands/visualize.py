"""Draw filters, activations, mistakes and a training batch of trained weights."""

import pathlib
from collections.abc import Sequence

from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands._weights_parser import load, require_folder, weights_parser
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.evaluation import heat_maps, picture_files
from chainer_cifar.evaluation.pictures import NetAndData, pictures
from chainer_cifar.streams import printable

TAKES_BATCH_SIZE = True

MOST_FILES = 50
_OF_FILES = heat_maps.NAME


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    default = _OF_FILES if given.images else ','.join(pictures)
    only = default if given.only is None else given.only
    names = [name.strip() for name in only.split(',') if name.strip()]
    if not names:
        raise UserError(f"--only '{given.only}': give some of {', '.join(pictures)}")
    if given.images and names != [_OF_FILES]:
        raise UserError(f'{given.images[0]}: only --only {_OF_FILES} draws something of pictures')
    with prefixed('--only '):
        draw = {name: pictures[name] for name in names}
    files = picture_files.find(given.images)
    if len(files) > MOST_FILES:
        raise UserError(f'{len(files)} pictures are too many for one sheet; at most {MOST_FILES}')
    require_folder(given.out)
    model = load(given)
    folder = pathlib.Path(given.out) if given.out else model.results
    looked_at = NetAndData(model, files)
    for name, function in draw.items():
        path = folder / f'{model.name(name)}.png'
        shown = function(looked_at, path)
        if not shown:
            path.unlink(missing_ok=True)  # an earlier one is of other weights or data
        print(f'{name:12} {printable(path) if shown else "nothing to show"}', flush=True)


def _parser(prog: str) -> ArgumentParser:
    parser = weights_parser(prog, __doc__)
    everything = ','.join(pictures)
    parser.add_argument(
        'images',
        nargs='*',
        default=[],
        metavar='IMAGE',
        help=f'picture files, or folders, of which {_OF_FILES} shows where the net looks',
    )
    parser.add_argument(
        '--only', default=None, help=f'the pictures to draw (default: {everything})'
    )
    parser.add_argument(
        '--out', default='', metavar='FOLDER', help='where to write (default: results/RUN)'
    )
    return parser
