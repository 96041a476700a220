"""Search for the flags of train that give the lowest validation error."""

import argparse
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

from chainer_cifar import runs
from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.config import GROUPS, TrainConfig
from chainer_cifar.errors import Interrupted, UserError, prefixed
from chainer_cifar.registry import nearest
from chainer_cifar.runs import RunFolder
from chainer_cifar.search import journal, results, settings, space, trials
from chainer_cifar.search.settings import Settings
from chainer_cifar.search.space import Item, Range, Space

TAKES_BATCH_SIZE = True

NAME, TRIALS, HALVING = 'search', 20, 3  # where the user says nothing
MOST = 10_000  # trials
_OWN = ('name', 'trials', 'halving', 'keep', 'overwrite')


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    with prefixed('--name '):
        runs.require_name(given.name)
    for name in ('trials', 'halving'):
        number = getattr(given, name)
        if number is not None and not 1 <= number <= MOST:
            raise UserError(f'--{name} {number}: must be a number from 1 to {MOST}')
    journal.optuna()
    folder = RunFolder(given.name)
    saved = {} if given.overwrite else settings.read(folder)
    wanted = _settings(given, saved)
    search = trials.begin(folder, wanted, given.overwrite)
    print(_head(wanted, folder), flush=True)
    try:
        search.work()
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise KeyboardInterrupt('stopped; the same command goes on') from None
    found = search.report(last=True)
    print(f'\n{results.table(found)}')
    left = sum(trial.state == results.RUNNING for trial in found.trials)
    if left:
        print(f'trials at other processes: {left}; nothing is left to do for this one')
    print(
        f'table    {folder.search_table}\n'
        f'numbers  {folder.search}\n'
        f'picture  {folder.search_picture}'
    )


def _settings(given: argparse.Namespace, saved: dict[str, Any]) -> Settings:
    """Join what was typed and what the journal knows of the search."""
    items: dict[str, Item] = {n: v for n, v in vars(given).items() if n not in _OWN}
    if not items and saved:  # the name is enough to go on
        for name, text in saved['flags'].items():
            if name not in space.FIELDS:
                hint = nearest(name, space.FIELDS)
                raise UserError(f"{given.name}: no flag is called '{name}'{hint}")
            items[name] = space.parse(name, text)
    searched = Space(items)
    if not searched.searched:
        raise UserError(
            'nothing to search: give a flag a range or alternatives, as in --lr 1e-3..1e-1 '
            "or -m 'cnn;cnnbn' (see --help)"
        )
    searched.require_used()
    for values in searched.samples():
        searched.config(values)
    halving = given.halving or saved.get('halving', HALVING)
    count = given.trials or saved.get('trials', TRIALS)
    return Settings(searched, count, halving, given.keep)


def _head(wanted: Settings, folder: RunFolder) -> str:
    """Tell what the search does."""
    told = []
    for name, item in wanted.space.searched.items():
        scale = f' ({"logarithmic" if item.log else "linear"})' if isinstance(item, Range) else ''
        told.append(f'{name} {space.write(item)}{scale}')
    rungs = ', '.join(map(str, wanted.rungs))
    stops = f'; after epoch {rungs} one in {wanted.halving} goes on' if rungs else ''
    return (
        f'search {folder.name}: {wanted.trials} trials of {wanted.epochs} epochs{stops}\n'
        f'searched: {"; ".join(told)}\n'
        f'The validation error decides; the test set is not looked at.'
    )


_EPILOG = """\
The flags of train may hold a range or alternatives; any others are the same in all trials.
  --lr 1e-3..1e-1           a range; logarithmic where its end is ten times its beginning or more
  --momentum 'log(0.5..0.9)'  … or as log(…) or linear(…) says
  -m 'cnn;cnnbn'            alternatives
  --skip_depth 'yes;no'     with or without; so for each BOOL, which else is yes or no

The same command, typed again, goes on; typed in a second terminal or on another machine that
shares the folders, it helps.

example: {prog} -m cnnbn --lr 1e-3..1e-1 --augment 'crop,mirror;mixup(0.2)' --iter 9
"""


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog=_EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        fromfile_prefix_chars='@',
        # The result holds only what the user typed.
        argument_default=argparse.SUPPRESS,
    )
    for flag, kind, default, text in (
        (
            '--name',
            str,
            NAME,
            f'name of the search: its folder under results/ and models/ (default: {NAME})',
        ),
        ('--trials', int, None, f'how many trials there shall be (default: {TRIALS})'),
        (
            '--halving',
            int,
            None,
            'successive halving: of so many trials that have come as far, one goes on; 1: all are '
            f'trained to their end (default: {HALVING})',
        ),
    ):
        word = kind.__name__.upper()
        parser.add_argument(flag, type=kind, default=default, metavar=word, help=text)
    parser.add_argument(
        '--keep', action='store_true', default=False, help='keep the weights of stopped trials, too'
    )
    parser.add_argument(
        '--overwrite', action='store_true', default=False, help='replace an earlier search'
    )
    fields = [field for name, field in space.FIELDS.items() if name not in space.REFUSED]
    texts = [field.name for field in fields if field.type is not bool]
    groups = add_flags(parser, TrainConfig, texts, groups=GROUPS)
    for name in texts:
        parser.read_with(name, _reader(name))
    for field in fields:
        if field.type is bool:
            _add(groups[field.metadata['group']], field, field.metadata['help'])
    for name in space.REFUSED:
        _add(parser, space.FIELDS[name], argparse.SUPPRESS)
    return parser


def _add(target: Any, field: dataclasses.Field[Any], text: str) -> None:
    """Add a flag that needs no value."""
    short = field.metadata['short']
    flags = [*([short] if short else []), f'--{field.name}']
    target.add_argument(
        *flags, nargs='?', const='yes', type=_reader(field.name), metavar='BOOL', help=text
    )


def _reader(name: str) -> Callable[[str], Item]:
    return functools.partial(space.parse, name)
