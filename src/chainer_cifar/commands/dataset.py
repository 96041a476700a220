"""Precompute the preprocessed pictures, of CIFAR or your own.

This writes label.pkl, classes.json, images, their statistics and samples. Your own pictures lie in
a folder of class folders, or are named in a CSV file; raw images of them are written as a folder
image_raw.
"""

import argparse
import math
import os
import pathlib
from collections.abc import Sequence

from chainer_cifar import figures, paths
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands import _fit_note
from chainer_cifar.data import decode, listing, prepare, store
from chainer_cifar.data.listing import TEST, Listing
from chainer_cifar.data.preprocess import Zca, preprocessing
from chainer_cifar.data.sources import sources, takes_pictures
from chainer_cifar.errors import UserError, prefixed

LEAST, MOST = 8, store.LARGEST  # pixels
MOST_JOBS = 256

ARCHIVE = 'dataset'  # where `download` extracts it
EPS = 0.1  # as the pictures of Goodfellow et al. (2013) were whitened, and others since

# The flags for the user's own pictures, and their defaults.
OWN = {'size': 32, 'fit': store.CROP, 'grey': False, 'test': 0.15, 'group': '', 'seed': 1, 'j': 0}


def main(argv: Sequence[str], prog: str) -> None:
    args = parse(argv, prog)
    if args.pictures is not None:
        _write_own(args)
        return
    names = _names(args, ','.join(preprocessing))
    raw = sources[args.source](args.dir or ARCHIVE)
    out = pathlib.Path(args.out or default_out(args.source))
    assert not isinstance(raw, Listing)
    prepare.write(raw, names, out, _eps(args), draw=figures.image_sheet)


def _names(args: argparse.Namespace, default: str) -> list[str]:
    names: list[str] = (default if args.only is None else args.only).split(',')
    for name in names:  # before anything takes time
        preprocessing.require(name)
    whitens = any(issubclass(preprocessing[name], Zca) for name in names)
    if args.eps is not None and not whitens:
        raise UserError('--eps: is for whitening; name zca or norm_zca in --only, or leave it out')
    return names


def _eps(args: argparse.Namespace) -> float:
    return EPS if args.eps is None else args.eps


def _write_own(args: argparse.Namespace) -> None:
    names, shape = _names(args, 'raw'), (1 if args.grey else 3, args.size, args.size)
    with prefixed('--only '):
        prepare.require_sizes(names, shape)
    found = sources[args.source](args.pictures)
    assert isinstance(found, Listing)
    if args.group:
        with prefixed('--group '):
            found = listing.group(found, args.group)
    if 'test' in args.typed:
        require_no_test(found, args.pictures)
    found = listing.split(found, args.test, args.seed)
    out = pathlib.Path(args.out or f'dataset/{name_of(args.pictures)}')
    if (out / _fit_note.NAME).exists() and not _is_listing_of_fit(args.pictures, out):
        raise UserError(f'{out}: is what fit prepared; give another --out')
    with decode.decode(found, out, shape, args.fit, args.j or None) as raw:
        prepare.write(raw, names, out, _eps(args), draw=figures.image_sheet)
    print(
        f'{found.name}: {len(raw.train_labels):,} pictures to train and validate, '
        f'{len(raw.test_labels):,} to test, {len(raw.class_names)} classes'
    )


def _is_listing_of_fit(pictures: str, out: pathlib.Path) -> bool:
    return paths.real(pictures) == paths.real(out / _fit_note.LISTING)


def parse(argv: Sequence[str], prog: str) -> argparse.Namespace:
    """Parse and check the arguments."""
    args = _parser(prog).parse_args(argv)
    if args.eps is not None and not (math.isfinite(args.eps) and args.eps >= 0):
        raise UserError(f'--eps {args.eps}: must be a number >= 0')
    args.typed = [name for name in OWN if name in args]
    vars(args).update({name: value for name, value in OWN.items() if name not in args})
    _check_own(args)
    return args


def _check_own(args: argparse.Namespace) -> None:
    """Check the source, and the flags for the user's own pictures."""
    sources.require(args.source)
    if args.pictures is None:
        if takes_pictures(args.source):
            raise UserError(f'--source {args.source}: give the {args.source} of pictures, too')
        if args.typed:
            flag = args.typed[0]
            raise UserError(
                f'{"-" if len(flag) == 1 else "--"}{flag}: is for your own pictures; give their '
                f'folder or CSV file, too'
            )
        return
    if args.dir is not None:
        raise UserError(
            '--dir: is for an extracted archive, not for your own pictures; leave it out'
        )
    if not takes_pictures(args.source):
        if args.source != 'cifar10':
            raise UserError(f'{args.pictures}: --source {args.source} takes no pictures')
        args.source = 'csv' if pathlib.Path(args.pictures).is_file() else 'folder'
    check_choices(args)
    if not 0 <= args.j <= MOST_JOBS:
        raise UserError(f'-j {args.j}: must be a number from 0 to {MOST_JOBS}')


def check_choices(args: argparse.Namespace) -> None:
    """Check --size, --fit, --test and --seed, which fit has, too."""
    if not LEAST <= args.size <= MOST:
        raise UserError(f'--size {args.size}: must be a number from {LEAST} to {MOST}')
    if args.fit not in store.FITS:
        raise UserError(f"--fit '{args.fit}': must be one of {', '.join(store.FITS)}")
    if not 0 < args.test < 1:
        raise UserError(f'--test {args.test}: must be a number between 0 and 1')
    if not 0 <= args.seed < 2**32:
        raise UserError(f'--seed {args.seed}: must be a number from 0 to {2**32 - 1}')


def require_no_test(found: Listing, pictures: str | os.PathLike[str]) -> None:
    """Refuse a typed --test where there is a test part, for fit, too."""
    if len(found.places(TEST)):
        raise UserError(f'--test: {pictures} has a test part already; leave the flag out')


def name_of(pictures: str | os.PathLike[str]) -> str:
    """Return the name of a folder of pictures, all of it: v1.0 and v1.5 are two; or of a table."""
    path = paths.real(pictures)
    return path.name if path.is_dir() else path.stem


def default_out(source: str) -> str:
    """Give each source its own folder, so that digits never replace CIFAR-10."""
    return 'dataset' if source == 'cifar10' else f'dataset/{source}'


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument(
        '--source', default='cifar10', help=f'pictures: {", ".join(sources)} (default: cifar10)'
    )
    parser.add_argument(
        '--dir',
        help=f'folder that holds the extracted archive (default: {ARCHIVE})',
    )
    parser.add_argument(
        '--only',
        help=f'the preprocessings to compute (default: {",".join(preprocessing)}; raw for your own '
        'pictures, the only one that takes other images than 32x32 in colour)',
    )
    parser.add_argument(
        '--out',
        help='folder to write to (default: dataset for cifar10, dataset/SOURCE for the others, '
        'dataset/NAME for PICTURES called NAME)',
    )
    parser.add_argument(
        '--eps',
        type=float,
        help='added to each eigenvalue before whitening, in units of their mean: 0 whitens '
        f'fully, which makes fine noise as strong as shapes; 0.1 leaves it weak (default: {EPS})',
    )
    own = parser.add_argument_group('your own pictures')
    own.add_argument(
        'pictures',
        nargs='?',
        metavar='PICTURES',
        help='a folder of class folders (--source folder), which may lie in folders train, valid '
        'and test; or a CSV file with columns path,label and perhaps split and group '
        '(--source csv)',
    )
    for flag, kind, text in (
        ('--size', int, f'width and height of the images, {LEAST} to {MOST} pixels'),
        ('--fit', str, 'how a picture becomes a square: crop its middle, pad it, or squash it'),
        ('--grey', bool, 'one channel instead of three'),
        ('--test', float, 'share of the pictures for the test, unless there is a test part'),
        (
            '--group',
            str,
            'regular expression; pictures for which its first group finds the same in the path '
            'stay together',
        ),
        ('--seed', int, 'seed of the choice of test pictures'),
        ('-j', int, 'pictures to decode at a time; 0: as many as there are cores'),
    ):
        default, absent = OWN[flag.lstrip('-')], argparse.SUPPRESS  # which shows what was typed
        if kind is bool:
            own.add_argument(flag, action='store_true', default=absent, help=text)
        else:
            told = f' (default: {default})' if default != '' else ''
            word = kind.__name__.upper()
            own.add_argument(flag, type=kind, default=absent, metavar=word, help=text + told)
    return parser
