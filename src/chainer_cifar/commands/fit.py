"""Train on your own pictures: from a folder to a net and its report, in one go.

It looks the pictures over, splits them, trains within --minutes, measures the net and writes a
report. Each step is one of the other commands and is shown as you would type it. After Ctrl-C, the
same command goes on.
"""

import argparse
import contextlib
import dataclasses
import gc
import io
import pathlib
import shlex
import signal
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainer_cifar import runs
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.commands import _fit_note, dataset, evaluate, report, train
from chainer_cifar.config import TrainConfig
from chainer_cifar.data import listing, picture, picture_table, scan, scan_report, store, usable
from chainer_cifar.data.folds import require as require_folds
from chainer_cifar.data.listing import TEST, Listing
from chainer_cifar.data.scan import Scan
from chainer_cifar.data.sources import sources
from chainer_cifar.errors import Interrupted, UserError, command_line, prefixed
from chainer_cifar.evaluation import comparison, history
from chainer_cifar.files import atomic_write
from chainer_cifar.runs import RunFolder
from chainer_cifar.streams import printable, tell
from chainer_cifar.table import counted
from chainer_cifar.training import folders, plan, run

SCAN = 'scan.txt'  # in the folder of the data
INITS = ('auto', 'imagenet', 'none')


def main(argv: Sequence[str], prog: str) -> None:
    given = parse(argv, prog)
    folder = pathlib.Path('dataset', given.name)
    settings = _settings(given)
    _refuse_other(folder, settings, given)
    if given.gpu is not None:
        TrainConfig(gpu=given.gpu).open_device()  # or say at once why not
    content = {} if given.overwrite else _fit_note.read(folder)
    chosen = None if content.get('prepared') else _choose(given)
    try:
        if chosen is None:
            print(f'{folder}: the pictures are prepared already', flush=True)
        else:
            content = _prepare(given, folder, settings, chosen)
        if given.folds:  # rather now than after the training
            known = store.read_labels(folder / store.LABEL_FILE)
            with prefixed('--folds '):
                require_folds(known['train'], known.get(store.GROUP), given.folds)
        _train(given, folder, content)
        if given.folds:
            _cross_validate(given, content)
            _step('report', [_folds(given).name, *_gpu(given)])
        _step('evaluate', [RunFolder(given.name).models, *_gpu(given)])
        _step('report', [RunFolder(given.name).results, *_gpu(given)])
    except KeyboardInterrupt as stop:
        how = 'the same command without --overwrite' if given.overwrite else 'the same command'
        signum = getattr(stop, 'signum', signal.SIGINT)
        raise Interrupted(f'stopped; {how} goes on from here', signum) from None
    _tell_next(given, folder)


def _settings(given: argparse.Namespace) -> dict[str, Any]:
    """What must be the same when the command goes on."""
    return {'pictures': str(given.pictures), **{name: getattr(given, name) for name in _DEFAULTS}}


def _gpu(given: argparse.Namespace) -> list[str]:
    """The flag of the device, if it was typed; otherwise it is the CPU, or that of the run."""
    return [] if given.gpu is None else ['-g', str(given.gpu)]


def _folds(given: argparse.Namespace) -> RunFolder:
    return RunFolder(f'{given.name}_folds')


def _runs(given: argparse.Namespace) -> list[RunFolder]:
    """All that it may train: the net, its first stage, the folds."""
    return [RunFolder(given.name), RunFolder(f'{given.name}_frozen'), _folds(given)]


def _refuse_other(
    folder: pathlib.Path, settings: Mapping[str, Any], given: argparse.Namespace
) -> None:
    path = folder / _fit_note.NAME
    if given.overwrite and (path.exists() or not _holds_something(folder)):
        return
    advice = 'give the same flags, another --name, or --overwrite to start again'
    if path.exists():
        before = _fit_note.read(folder)['settings']
        different = [name for name in settings if before.get(name) != settings[name]]
        if different:
            name = different[0]
            old, new = before.get(name), settings[name]
            raise UserError(f'{folder}: was made with {name} {old!r}, not {new!r}; {advice}')
        folds = _folds(given)
        if given.folds and folds.seeds.exists():
            count = len(history.read_several(folds).seeds)
            if count != given.folds:
                raise UserError(f'--folds {given.folds}: {folds.results} has {count}; {advice}')
        return
    # What is left of another run would be taken for trained, maybe on today's test pictures.
    taken = [there for each in _runs(given) if (there := each.occupied())]
    if taken or _holds_something(folder):
        found = taken[0] if taken else folder
        raise UserError(f'{found}: is there already, from something else; give another --name')


def _holds_something(folder: pathlib.Path) -> bool:
    """Is there more than what a process leaves that was killed before it wrote anything?"""
    if not folder.is_dir():
        return folder.exists()
    return any(not path.name.startswith('.') for path in folder.iterdir())


class _Chosen(NamedTuple):
    """What the look at the pictures gave: those to use, and the page on all."""

    kept: Listing
    looked: Scan
    page: str


def _choose(given: argparse.Namespace) -> _Chosen:
    """Look the pictures over and choose; write nothing."""
    found = sources['csv' if given.pictures.is_file() else 'folder'](given.pictures)
    assert isinstance(found, Listing)
    if given.group:
        with prefixed('--group '):
            found = listing.group(found, given.group)
    if given.test != _DEFAULTS['test']:
        dataset.require_no_test(found, given.pictures)
    looked = scan.scan(scan.files_of(found))
    page = scan_report.text(looked)
    print(page, flush=True)
    if looked.leaks and not given.leaks:
        first, *others = (looked.files[i] for i in looked.leaks[0].members)
        other = next(each for each in others if each.part != first.part)
        one, two = (f'{printable(each.path)} ({each.part})' for each in (first, other))
        raise UserError(
            f'{given.pictures}: {len(looked.leaks)} pictures are in two parts, as {one} and {two}; '
            f'take one of each away, or give --leaks'
        )
    kept, left_out = usable.choose(found, looked)
    listing.split(kept, given.test, given.seed)  # dataset will, when an earlier run is gone
    for line in (*left_out, *scan_report.warnings(looked)):
        tell(f'warning: {given.pictures}: {line}')
    if given.init == 'auto' and not plan.pretrained_there():
        tell(
            'warning: begins with random weights; those of ImageNet would know more: '
            f'{plan.missing()}'
        )
    return _Chosen(kept, looked, page)


def _prepare(
    given: argparse.Namespace, folder: pathlib.Path, settings: Mapping[str, Any], chosen: _Chosen
) -> dict[str, Any]:
    """Make the data set; return what later steps need to know."""
    kept = chosen.kept
    pretrained = given.init != 'none' and plan.pretrained_there()
    size = given.size or plan.size(chosen.looked, pretrained)
    path = folder / _fit_note.LISTING
    if given.overwrite:
        folders.refuse_in_use(_runs(given))
        for each in _runs(given):
            each.delete()
    counts = np.bincount(kept.labels)
    content = {
        'version': _fit_note.VERSION,
        'settings': dict(settings),
        'pretrained': pretrained,
        'imbalance': float(counts.max() / counts[counts > 0].min()),
        'prepared': False,
        'minutes': given.minutes,
        'epochs': {},
    }
    # First of all: it says whose folder this is, should the rest be interrupted.
    _fit_note.write(folder, content)
    picture_table.write(path, kept)
    with atomic_write(folder / SCAN, 'w') as file:
        file.write(f'{chosen.page}\n')
    flags = ['--source', 'csv', str(path), '--size', size, '--fit', given.fit]
    flags += ['--seed', given.seed, '--out', str(folder)]
    if not len(kept.places(TEST)):
        flags += ['--test', given.test]
    _step('dataset', flags)
    content['prepared'] = True
    _fit_note.write(folder, content)
    return content


def _train(given: argparse.Namespace, folder: pathlib.Path, content: dict[str, Any]) -> None:
    """Train what is not trained yet, each stage within its share of the time."""
    images, labels = folder / store.RAW_FOLDER, folder / store.LABEL_FILE
    known = store.read_labels(labels)
    own_valid = store.VALID in known
    count = len(known['train']) - (len(known[store.VALID]) if own_valid else 0)
    before, minutes = '', content['minutes']
    for stage in plan.stages(content['pretrained'], count, content['imbalance'], own_valid):
        run_folder = RunFolder(given.name + stage.suffix)
        flags = {
            **stage.flags,
            'dataset': str(images),
            'label': str(labels),
            'seed': given.seed,
            'prefix': run_folder.name,
        }
        if before:
            flags['init'] = str(runs.MODELS / before)
        before = run_folder.name
        if not run_folder.occupied():
            flags['iter'] = _epochs(given, folder, content, stage, flags)
            _step('train', [*_as_arguments(flags), *_gpu(given)])
        elif not history.read_one(run_folder).finished:
            _step('train', ['--resume', '-p', run_folder.name, *_gpu(given)])
        else:
            print(f'{run_folder.results}: trained already; --overwrite starts again', flush=True)
            if minutes != given.minutes:
                tell(
                    f'warning: --minutes {given.minutes:g}: it was trained with {minutes:g}; '
                    f'--overwrite, or another --name, trains anew'
                )


def _epochs(
    given: argparse.Namespace,
    folder: pathlib.Path,
    content: dict[str, Any],
    stage: plan.Stage,
    flags: Mapping[str, Any],
) -> int:
    """Measure how many epochs there is time for, once: a stage that starts again has as many."""
    if content['minutes'] != given.minutes:
        content |= {'minutes': given.minutes, 'epochs': {}}
    if stage.suffix not in content['epochs']:
        with contextlib.redirect_stdout(io.StringIO()):  # training says the same again
            gpu = TrainConfig.gpu if given.gpu is None else given.gpu
            speed = run.measure(TrainConfig(**flags, gpu=gpu))
        gc.collect()  # the net, before training makes its own
        seconds = 60 * given.minutes * stage.share
        count = plan.epochs(seconds, speed.rate, speed.train, speed.evaluate, stage.most_epochs)
        content['epochs'][stage.suffix] = count
        _fit_note.write(folder, content)
        told = f'{counted(count, "epoch")} in {seconds / 60:.3g} minutes'
        print(f'\nabout {speed.rate:.3g} images/s: {told}')
    return content['epochs'][stage.suffix]


def _cross_validate(given: argparse.Namespace, content: Mapping[str, Any]) -> None:
    """Train a net without each of the folds, as long as the net of all, and join what they say."""
    whole, folds = RunFolder(given.name), _folds(given)
    if folds.occupied():
        # If all are finished, this tells of them again.
        _step('train', ['--resume', '-p', folds.name, *_gpu(given)])
        return
    flags = {**_flags_of(whole), 'folds': given.folds, 'prefix': folds.name}
    flags.pop('no_valid_data', None)  # each fold validates once
    if content['pretrained']:
        flags['init'] = 'imagenet'  # the weights of the run have seen all folds
    minutes = given.folds * history.read_one(whole).summary['seconds'] / 60
    print(f'\n{given.folds} folds, about {minutes:.3g} minutes', flush=True)
    _step('train', [*_as_arguments(flags), *_gpu(given)])


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
    gc.collect()  # nets point to themselves, and would be there beside those of the next step


def _tell_next(given: argparse.Namespace, folder: pathlib.Path) -> None:
    name = shlex.quote(given.name)
    done = history.read_one(RunFolder(given.name))
    best = done.best or {}
    count = len(store.read_labels(folder / store.LABEL_FILE)['test'])
    print(
        f'\ntest error {best["test_error"]:.2f} % (accuracy {100 - best["test_error"]:.2f} %) of '
        f'{count:,} pictures\n'
        f'report     {RunFolder(given.name).page}{_of_folds(given)}\n\nWhat to do next:\n'
        f'  classify a picture     {command_line(f"predict {name} PICTURE")}\n'
        f'  see what it looks at   {command_line(f"visualize {name}")}'
    )
    again, typed = f'fit {shlex.quote(str(given.pictures))}', _typed(given)
    if not _folds(given).seeds.exists():
        own = '' if given.name == dataset.name_of(given.pictures) else f'--name {name}'
        words = ' '.join(filter(None, [again, '--folds 5', own, typed]))
        print(f'  find wrong labels      {command_line(words)}')
    if done.planned < plan.MOST_EPOCHS:
        words = f'{again} --name {name}2 --minutes {3 * given.minutes:g} {typed}'.rstrip()
        print(f'  train for longer       {command_line(words)}')


def _of_folds(given: argparse.Namespace) -> str:
    """Lines on the cross-validation, if there was one."""
    folds = _folds(given)
    if not folds.seeds.exists():
        return ''
    found = history.read_several(folds)
    spread = comparison.measured(found)['valid_error']
    told = f'error {spread.text(".2f")} %, ' if spread else ''
    suspects = folds.results / runs.SUSPECTS_TABLE
    line = f'\nfolds      {told}{found.state}: {folds.page}'
    return f'{line}\nsuspects   {suspects}' if suspects.exists() else line


def _typed(given: argparse.Namespace) -> str:
    """The flags that are not at their default, except for those of time and name."""
    values = {name: getattr(given, name) for name in _DEFAULTS}
    typed = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
    return shlex.join([*_gpu(given), *_as_arguments(typed)])


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
    given = _parser(prog).parse_args(argv)
    given.pictures = pathlib.Path(given.pictures)
    if not given.pictures.exists():
        raise UserError(f'{given.pictures}: no such folder of pictures, nor CSV file')
    if given.pictures.is_file() and given.pictures.suffix.lower() in picture.endings():
        raise UserError(f'{given.pictures}: is one picture; give the folder of the class folders')
    given.name = given.name or dataset.name_of(given.pictures)
    with prefixed('--name '):
        runs.require_name(given.name)
        if given.name.startswith('-'):
            raise UserError(
                f'{given.name}: commands would take it for a flag; give a --name without the dash'
            )
    if not 0 < given.minutes < float('inf'):
        raise UserError(f'--minutes {given.minutes}: must be a number above 0')
    # A size of 0 is chosen later.
    dataset.check_choices(argparse.Namespace(**vars(given) | {'size': given.size or dataset.LEAST}))
    if given.init not in INITS:
        raise UserError(f"--init '{given.init}': must be one of {', '.join(INITS)}")
    if given.init == 'imagenet' and not plan.pretrained_there():
        raise UserError(f'--init imagenet: package {plan.missing()}')
    if given.folds and not 2 <= given.folds <= 100:
        raise UserError(f'--folds {given.folds}: must be 0, or a number from 2 to 100')
    return given


def _parser(prog: str) -> ArgumentParser:
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
        (
            '--minutes',
            float,
            10.0,
            'how long to train, about (default: 10); each fold takes as long again',
        ),
        (
            '--size',
            int,
            _DEFAULTS['size'],
            'side of the images in pixels (default: chosen from the pictures)',
        ),
        (
            '--fit',
            str,
            _DEFAULTS['fit'],
            f'how pictures become square: {", ".join(store.FITS)} (default: {_DEFAULTS["fit"]})',
        ),
        (
            '--init',
            str,
            _DEFAULTS['init'],
            'imagenet: begin with weights that were trained on ImageNet; none: with random ones; '
            f'auto: with the first if their package is there (default: {_DEFAULTS["init"]})',
        ),
        (
            '--test',
            float,
            _DEFAULTS['test'],
            'share of the pictures for the test, unless there is a test part '
            f'(default: {_DEFAULTS["test"]})',
        ),
        (
            '--group',
            str,
            _DEFAULTS['group'],
            'regular expression; pictures for which its first group finds the same in the path '
            'stay together; those that look alike do anyway',
        ),
        (
            '--folds',
            int,
            0,
            'cross-validate with so many folds, too, and find wrong labels (default: 0, none)',
        ),
        (
            '--seed',
            int,
            _DEFAULTS['seed'],
            f'seed of every random choice (default: {_DEFAULTS["seed"]})',
        ),
        ('--name', str, '', 'name of the data and the run (default: that of PICTURES)'),
    ):
        parser.add_argument(
            flag, type=kind, default=default, metavar=kind.__name__.upper(), help=text
        )
    parser.add_argument(
        '-g',
        '--gpu',
        type=int,
        metavar='INT',
        help='index of the GPU to train on (default: the CPU)',
    )
    parser.add_argument(
        '--leaks',
        action='store_true',
        help='go on if a picture is in two parts, as in training and in the test',
    )
    parser.add_argument('--overwrite', action='store_true', help='start again')
    return parser
