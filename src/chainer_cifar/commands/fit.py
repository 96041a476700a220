"""Train on your own pictures: from a folder to a net and its report, in one go.

It looks the pictures over, splits them, trains within --minutes, measures the net and writes a
report. Each step is one of the other commands and is shown as you would type it. After Ctrl-C, the
same command goes on.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from chainer_cifar import runs
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands import dataset, evaluate, report, train
from chainer_cifar.config import TrainConfig
from chainer_cifar.data import listing, picture_table, scan, scan_report, store
from chainer_cifar.data.listing import TEST, Listing
from chainer_cifar.data.scan import Scan
from chainer_cifar.data.sources import sources
from chainer_cifar.errors import UserError, command_line, prefixed
from chainer_cifar.evaluation import history
from chainer_cifar.files import atomic_write
from chainer_cifar.runs import RunFolder
from chainer_cifar.streams import printable, tell
from chainer_cifar.training import plan, run

TAKES_BATCH_SIZE = False

VERSION = 1  # of fit.json
LEAST_GROUPS = 3  # of a class: one each to train, to validate and to test
LISTING, SETTINGS, SCAN = 'listing.csv', 'fit.json', 'scan.txt'  # in the folder of the data
INITS = ('auto', 'imagenet', 'none')


def main(argv: Sequence[str], prog: str) -> None:
    given = parse(argv, prog)
    folder = pathlib.Path('dataset', given.name)
    images = folder / store.RAW_FOLDER
    settings = _settings(given)
    _refuse_other(folder, settings, given)
    content = {} if given.overwrite else _read(folder)
    if content.get('prepared'):
        print(f'{folder}: the pictures are prepared already', flush=True)
    else:
        content = _prepare(given, folder, settings)
    try:
        _train(given, images, content)
    except KeyboardInterrupt as stop:
        tell('the same command goes on from here')
        raise stop
    _step('evaluate', [RunFolder(given.name).models])
    _step('report', [RunFolder(given.name).results])
    _tell_next(given)


def _settings(given: argparse.Namespace) -> dict[str, Any]:
    """What must be the same when the command goes on."""
    return {'pictures': str(given.pictures), **{name: getattr(given, name) for name in _DEFAULTS}}


def _refuse_other(
    folder: pathlib.Path, settings: Mapping[str, Any], given: argparse.Namespace
) -> None:
    path = folder / SETTINGS
    if given.overwrite and (path.exists() or not _holds_something(folder)):
        return
    advice = 'give the same flags, another --name, or --overwrite to start again'
    if path.exists():
        before = _read(folder)['settings']
        different = [name for name in settings if before.get(name) != settings[name]]
        if different:
            name = different[0]
            raise UserError(
                f'{folder}: was made with {name} {before[name]!r}, not {settings[name]!r}; {advice}'
            )
    elif (occupied := RunFolder(given.name).occupied()) or _holds_something(folder):
        raise UserError(f'{occupied or folder}: is there already, and not from fit; give --name')


def _holds_something(folder: pathlib.Path) -> bool:
    """Is there more than what a process leaves that was killed before it wrote anything?"""
    if not folder.is_dir():
        return folder.exists()
    return any(not path.name.startswith('.') for path in folder.iterdir())


_TYPES: dict[str, type] = {
    'version': int,
    'settings': dict,
    'pretrained': bool,
    'imbalance': float,
    'prepared': bool,
}


def _read(folder: pathlib.Path) -> dict[str, Any]:
    """Read fit.json; empty if there is none."""
    path = folder / SETTINGS
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(content, dict) or content.get('version') != VERSION:
            raise ValueError(f'not of version {VERSION}')
        for name, kind in _TYPES.items():
            if type(content.get(name)) is not kind:
                raise ValueError(f"'{name}' in it is no {kind.__name__}")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{path}: cannot be read ({error}); start again with --overwrite') from None
    return content


def _write(folder: pathlib.Path, content: Mapping[str, Any]) -> None:
    with atomic_write(folder / SETTINGS, 'w') as file:
        json.dump(content, file, indent=1)


def _prepare(
    given: argparse.Namespace, folder: pathlib.Path, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Look the pictures over and make the data set; return what later steps need to know."""
    found = sources['csv' if given.pictures.is_file() else 'folder'](given.pictures)
    assert isinstance(found, Listing)
    if given.group:
        with prefixed('--group '):
            found = listing.group(found, given.group)
    looked = scan.scan(scan.files_of(found))
    page = scan_report.text(looked)
    print(page, flush=True)
    if looked.leaks and not given.leaks:
        one, other = (looked.files[i].path for i in looked.leaks[0].members[:2])
        raise UserError(
            f'{given.pictures}: {len(looked.leaks)} pictures are in training and in the test, as '
            f'{printable(one)} and {printable(other)}; take one of each away, or give --leaks'
        )
    kept = _usable(found, looked, given)
    pretrained = given.init == 'imagenet' or (given.init == 'auto' and plan.pretrained_there())
    size = given.size or plan.size(looked, pretrained)
    path = folder / LISTING
    if given.overwrite:
        for suffix in ('', '_frozen', '_folds'):
            RunFolder(f'{given.name}{suffix}').delete()
    counts = np.bincount(kept.labels)
    content = {
        'version': VERSION,
        'settings': dict(settings),
        'pretrained': pretrained,
        'imbalance': float(counts.max() / counts[counts > 0].min()),
        'prepared': False,
    }
    # First of all: it says whose folder this is, should the rest be interrupted.
    _write(folder, content)
    _write_listing(kept, path)
    with atomic_write(folder / SCAN, 'w') as file:
        file.write(f'{page}\n')
    flags = ['--source', 'csv', str(path), '--size', size, '--fit', given.fit]
    flags += ['--seed', given.seed, '--out', str(folder)]
    if not len(kept.places(TEST)):
        flags += ['--test', given.test]
    _step('dataset', flags)
    content['prepared'] = True
    _write(folder, content)
    return content


def _usable(found: Listing, looked: Scan, given: argparse.Namespace) -> Listing:
    """Leave out what cannot be read and classes with too few; keep look-alikes together."""
    divided = len(found.places(TEST)) > 0
    if not divided:
        joined = _joined(found.groups, looked.of_group())
        found = dataclasses.replace(found, groups=joined, grouped=True)
    usable = np.ones(len(found), bool)
    usable[list(looked.problems)] = False
    left_out = []
    for number, name in enumerate(found.class_names):
        inside = usable & (found.labels == number)
        if len(np.unique(found.groups[inside])) < LEAST_GROUPS and not divided:
            usable &= found.labels != number
            left_out.append(f'{printable(name)} ({int(inside.sum())})')
    if left_out:
        tell(
            f'warning: {given.pictures}: left out what has fewer than {LEAST_GROUPS} different '
            f'pictures: {", ".join(left_out)}'
        )
    for line in scan_report.warnings(looked):
        tell(f'warning: {line}')
    places = np.flatnonzero(usable)
    names = {int(label) for label in found.labels[places]}
    if len(names) < 2:
        raise UserError(
            f'{given.pictures}: fewer than two classes have {LEAST_GROUPS} different pictures; '
            f'add pictures'
        )
    return found.at(places)


def _joined(one: Any, other: Any) -> Any:
    """Groups so large that those of both kinds are whole."""
    pairs = np.stack([one, other + int(one.max()) + 1])
    size = int(pairs.max()) + 1
    edges = sparse.coo_matrix((np.ones(pairs.shape[1]), tuple(pairs)), (size, size))
    _, numbers = sparse.csgraph.connected_components(edges, directed=False)
    return numbers[one].astype(np.int32)


def _write_listing(kept: Listing, path: pathlib.Path) -> None:
    divided = len(kept.places(TEST)) > 0
    wanted = [
        picture_table.PATH,
        picture_table.LABEL,
        *([picture_table.SPLIT] if divided else []),
        *([picture_table.GROUP] if kept.grouped else []),
    ]
    rows = []
    for i, file in enumerate(kept.paths):
        values = {
            picture_table.PATH: os.path.relpath(file, path.parent),
            picture_table.LABEL: kept.class_names[kept.labels[i]],
            picture_table.SPLIT: kept.parts[i],
            picture_table.GROUP: kept.groups[i],
        }
        rows.append([values[name] for name in wanted])
    store.write_table(path, wanted, rows)


def _train(given: argparse.Namespace, images: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Train what is not trained yet, each stage within its share of the time."""
    count = len(store.read_labels(images.parent / store.LABEL_FILE)['train'])
    before = ''
    for stage in plan.stages(content['pretrained'], count, content['imbalance']):
        folder = RunFolder(given.name + stage.suffix)
        flags = {
            **stage.flags,
            'dataset': str(images),
            'label': str(images.parent / store.LABEL_FILE),
            'seed': given.seed,
            'prefix': folder.name,
        }
        if before:
            flags['init'] = str(runs.MODELS / before)
        before = folder.name
        if not folder.occupied():
            speed = run.measure(TrainConfig(**flags))
            seconds = 60 * given.minutes * stage.share
            flags['iter'] = plan.epochs(
                seconds, speed.rate, speed.train, speed.evaluate, stage.most_epochs
            )
            _step('train', _as_arguments(flags))
        elif not history.read_one(folder).finished:
            _step('train', ['--resume', '-p', folder.name])
        else:
            print(f'{folder.results}: is trained already', flush=True)
    if given.folds:
        flags = {**_flags_of(RunFolder(given.name)), 'folds': given.folds}
        folder = RunFolder(f'{given.name}_folds')
        flags['prefix'] = folder.name
        if content['pretrained']:
            flags['init'] = 'imagenet'  # the weights of the run have seen all folds
        if not folder.occupied():
            _step('train', _as_arguments(flags))
        elif not history.read_several(folder).finished:
            _step('train', ['--resume', '-p', folder.name])


def _flags_of(folder: RunFolder) -> dict[str, Any]:
    """The flags of a run that are not at their default."""
    defaults = {field.name: field.default for field in dataclasses.fields(TrainConfig)}
    flags = history.read_one(folder).flags
    return {name: value for name, value in flags.items() if value != defaults.get(name)}


def _as_arguments(flags: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in flags.items():
        words += [f'--{name}'] if value is True else [f'--{name}', str(value)]
    return words


_COMMANDS = {'dataset': dataset, 'train': train, 'evaluate': evaluate, 'report': report}


def _step(name: str, words: Sequence[object]) -> None:
    """Show a command as the user would type it, and run it."""
    argv = [str(word) for word in words]
    print(f'\n$ {command_line(f"{name} {shlex.join(argv)}")}', flush=True)
    _COMMANDS[name].main(argv, f'{name}.py')


def _tell_next(given: argparse.Namespace) -> None:
    name = shlex.quote(given.name)
    best = history.read_one(RunFolder(given.name)).best or {}
    print(
        f'\ntest error {best["test_error"]:.2f} % (accuracy {100 - best["test_error"]:.2f} %)\n'
        f'report     {RunFolder(given.name).page}\n\nWhat to do next:\n'
        f'  classify a picture     {command_line(f"predict {name} PICTURE")}\n'
        f'  see what it looks at   {command_line(f"visualize {name}")}'
    )
    again = f'fit {shlex.quote(str(given.pictures))} --name {name}'
    if not given.folds:
        words = command_line(f'{again} --folds 5 {_typed(given)}'.rstrip())
        print(f'  find wrong labels      {words}')
    longer = f'{again}2 --minutes {3 * given.minutes:g}'
    print(f'  train for longer       {command_line(longer)}')


def _typed(given: argparse.Namespace) -> str:
    """The flags that must be the same when the command goes on."""
    words = []
    for name, default in _DEFAULTS.items():
        value = getattr(given, name)
        if value != default:
            words += [f'--{name}'] if value is True else [f'--{name}', str(value)]
    return shlex.join(words)


# The flags that must be the same when the command goes on.
_DEFAULTS: dict[str, Any] = {
    'size': 0,
    'fit': store.CROP,
    'seed': 1,
    'test': 0.15,
    'group': '',
    'init': 'auto',
    'leaks': False,
}


def parse(argv: Sequence[str], prog: str) -> argparse.Namespace:
    """Parse and check the arguments."""
    parser = ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'pictures',
        metavar='PICTURES',
        help='a folder of class folders, which may lie in folders train, valid and test; or a CSV '
        'file with columns path,label and perhaps split and group',
    )
    for flag, kind, default, text in (
        ('--minutes', float, 10.0, 'how long to train, about (default: 10)'),
        (
            '--size',
            int,
            _DEFAULTS['size'],
            'side of the images in pixels (default: chosen from the pictures)',
        ),
        ('--fit', str, _DEFAULTS['fit'], f'how pictures become square: {", ".join(store.FITS)}'),
        (
            '--init',
            str,
            _DEFAULTS['init'],
            'imagenet: begin with weights that were trained on ImageNet; none: with random ones; '
            'auto: with the first if their package is there',
        ),
        (
            '--test',
            float,
            _DEFAULTS['test'],
            'share of the pictures for the test, unless there is a test part',
        ),
        (
            '--group',
            str,
            _DEFAULTS['group'],
            'regular expression; pictures for which its first group finds the same in the path '
            'stay together; those that look alike do anyway',
        ),
        ('--folds', int, 0, 'cross-validate with so many folds, too, and find wrong labels'),
        ('--seed', int, _DEFAULTS['seed'], 'seed of every random choice'),
        ('--name', str, '', 'name of the data and the run (default: that of PICTURES)'),
    ):
        parser.add_argument(
            flag, type=kind, default=default, metavar=kind.__name__.upper(), help=text
        )
    parser.add_argument(
        '--leaks', action='store_true', help='go on if pictures are in training and in the test'
    )
    parser.add_argument('--overwrite', action='store_true', help='start again')
    given = parser.parse_args(argv)
    given.pictures = pathlib.Path(given.pictures)
    if not given.pictures.exists():
        raise UserError(f'{given.pictures}: no such folder of pictures, nor CSV file')
    given.name = given.name or given.pictures.resolve().stem
    path = pathlib.PurePath(given.name)
    if path.is_absolute() or '..' in path.parts or not path.parts:
        raise UserError(f'--name {given.name}: must be a name, not a path out')
    if not 0 < given.minutes < float('inf'):
        raise UserError(f'--minutes {given.minutes}: must be a number above 0')
    # A size of 0 is chosen later.
    dataset.check_choices(argparse.Namespace(**vars(given) | {'size': given.size or dataset.LEAST}))
    if given.init not in INITS:
        raise UserError(f"--init '{given.init}': must be one of {', '.join(INITS)}")
    if given.init == 'imagenet' and not plan.pretrained_there():
        raise UserError(f'--init imagenet: {plan.install()}')
    if given.folds and not 2 <= given.folds <= 100:
        raise UserError(f'--folds {given.folds}: must be 0, or a number from 2 to 100')
    return given
