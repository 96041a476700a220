"""Repeat a run for several seeds, one after the other: NAME/seed1, NAME/seed2 …, and their mean.

results/NAME/seeds.json tells which seeds there are; each is a run like any other, with its own log
and snapshots. summary.json and summary.txt there are written anew whenever a seed has ended.

The same loop runs over the folds of a cross-validation (``--folds``), NAME/fold1, NAME/fold2 …;
then the numbers in seeds.json are those of folds. In the end, out_of_fold.py joins them.
"""

import dataclasses
import gc
import json
import shlex
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from chainer_cifar import config as train_config
from chainer_cifar.config import TrainConfig
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.errors import Diverged, Interrupted, UserError, prefixed
from chainer_cifar.evaluation import comparison, history, out_of_fold
from chainer_cifar.files import atomic_write
from chainer_cifar.runs import RunFolder
from chainer_cifar.streams import printable, tell
from chainer_cifar.table import aligned
from chainer_cifar.training import description, folders, run

MOST = 100  # seeds


def parse(text: str) -> tuple[int, ...]:
    """Read seeds: ``3`` means 1 to 3; a list ``1,2,5`` means these.

    Raises:
        UserError: It is neither.
    """
    words = [word.strip() for word in text.split(',')]
    # Python makes no number of a text of thousands of digits.
    if not all(word.isascii() and word.isdigit() and len(word) <= 100 for word in words):
        raise UserError(f'{text}: must be their number, as 3, or a list of them, as 1,2,5')
    numbers = tuple(map(int, words))
    if len(words) > 1:
        if len(set(numbers)) < len(numbers):
            raise UserError(f'{text}: names a seed twice')
        if max(numbers) >= 2**32:
            raise UserError(f'{text}: a seed must be a number from 0 to {2**32 - 1}')
    count = numbers[0] if len(words) == 1 else len(words)
    if not 2 <= count <= MOST:
        raise UserError(f'{text}: must be 2 to {MOST} seeds; of a single one, give --seed')
    return numbers if len(words) > 1 else tuple(range(1, count + 1))


def start(
    config: TrainConfig, seeds: tuple[int, ...], overwrite: bool = False, named: bool = True
) -> None:
    """Train for each seed from the beginning into ``results/<prefix>/seed<n>``; tell the mean.

    Args:
        config: The flags; its seed is of no account. If it has folds, its fold is not instead.
        seeds: The seeds, or the numbers of the folds.
        overwrite: Replace a run of that prefix.
        named: The user chose the prefix; one that nobody chose gets a number if it is taken.

    Raises:
        UserError: There is a run of that prefix already, and not `overwrite`; or bad input.
    """
    if not (named or overwrite):
        config = folders.numbered(config)
    whole = RunFolder(config.prefix)
    ours = [_member(whole, config, seed) for seed in seeds]

    def begin(data: Dataset) -> None:
        for folder in (whole, *ours):  # `ours` may be there without a whole
            folder.delete()
        _describe(whole, config, seeds)

    _refuse(whole, ours, overwrite)
    with folders.locked(whole):
        _refuse(whole, ours, overwrite)
        _train(whole, config, seeds, begin, overwrite)


def resume(whole: RunFolder, flags: Mapping[str, Any]) -> None:
    """Continue the interrupted seed, then train those not begun; leave finished ones alone.

    One that diverged does so again from its last snapshot; the others do not suffer.

    Args:
        whole: The folder that has a seeds.json.
        flags: The flags typed beside ``--resume``.

    Raises:
        UserError: The seeds.json is damaged, a flag differs that must not, or bad input.
    """
    content = history.read_seeds(whole)
    kind = history.kind_of(content['flags'])
    if kind in flags:
        raise UserError(f'--{kind}: has no meaning for a run with several {kind}s; leave it out')
    saved = train_config.from_dict(content['flags'], whole.seeds)
    saved = dataclasses.replace(saved, prefix=whole.name)  # it may have been renamed since
    config = run.changed(saved, flags)
    seeds = tuple(content['seeds'])
    with folders.locked(whole):
        if vars(config) != vars(saved):
            _describe(whole, config, seeds)
        _train(whole, config, seeds)


def _refuse(whole: RunFolder, ours: Sequence[RunFolder], overwrite: bool) -> None:
    for folder in (whole, *ours):
        folders.refuse_existing(folder, overwrite)
    folders.refuse_in_use(ours)


def _member(whole: RunFolder, config: TrainConfig, number: int) -> RunFolder:
    return whole.of_fold(number) if config.folds else whole.of_seed(number)


def _own(whole: RunFolder, config: TrainConfig, number: int) -> TrainConfig:
    """The flags of one seed or fold."""
    prefix = _member(whole, config, number).name
    if not config.folds:
        return dataclasses.replace(config, prefix=prefix, seed=number)
    return dataclasses.replace(config, prefix=prefix, fold=number)


def _describe(whole: RunFolder, config: TrainConfig, seeds: Sequence[int]) -> None:
    kind = history.kind_of(vars(config))
    flags = {name: value for name, value in vars(config).items() if name != kind}
    with atomic_write(whole.seeds, 'w') as file:
        json.dump(
            {'version': history.SEEDS_VERSION, 'seeds': list(seeds), 'flags': flags}, file, indent=1
        )


def _train(
    whole: RunFolder,
    config: TrainConfig,
    seeds: Sequence[int],
    begin: run.Begin | None = None,
    overwrite: bool = False,
) -> None:
    """Train what is not finished; `begin`, if given, begins anew, before any writing."""
    kind = history.kind_of(vars(config))
    diverged = []

    def begin_one(data: Dataset) -> None:
        nonlocal begin
        if begin:
            begin(data)
            begin = None
        elif first := _begun(whole, config, seeds):
            description.require_same_data(first, own, data)

    for number, seed in enumerate(seeds, 1):
        folder, own = _member(whole, config, seed), _own(whole, config, seed)
        free = {name: getattr(own, name) for name in run.FREE_ON_RESUME}
        if number > 1:
            print()
        print(f'{kind} {seed}, {number} of {len(seeds)}', flush=True)
        try:
            with prefixed(f'{kind} {seed}: '):
                if begin or not folder.occupied():
                    run.start(own, overwrite, begin=begin_one)
                elif history.read_one(folder).finished_by(config.iter, config.patience):
                    print('finished already')
                else:
                    run.resume(folder, free)
        except Diverged as error:  # which may be bad luck of this one
            tell(f'warning: {error}')
            diverged.append(seed)
        except KeyboardInterrupt as stop:
            if begin:  # what is there is not ours, but what --overwrite is about to replace
                raise
            signum = getattr(stop, 'signum', signal.SIGINT)
            raise Interrupted(
                f'stopped in {kind} {seed}, {number} of {len(seeds)}; '
                f'continue with --resume -p {shlex.quote(whole.name)}',
                signum,
            ) from None
        gc.collect()  # images and net of this seed, before the next are read
        _summarize(whole)
    print(f'\n{whole.seeds_table.read_text(encoding="utf-8").rstrip()}\nsummary  {whole.summary}')
    if diverged:
        which = ', '.join(map(str, diverged))
        raise UserError(f'{len(diverged)} of {len(seeds)} {kind}s diverged: {which}')
    if config.folds:
        print(*out_of_fold.write(history.read_several(whole)), sep='\n')


def _begun(whole: RunFolder, config: TrainConfig, seeds: Sequence[int]) -> RunFolder | None:
    members = (_member(whole, config, seed) for seed in seeds)
    return next((folder for folder in members if folder.config.exists()), None)


_COLUMNS = {
    'seed': ('valid_error', 'test_error', 'best_epoch', 'seconds'),
    'fold': ('valid_error', 'test_error', 'seconds'),
}


def _summarize(whole: RunFolder) -> None:
    found = history.read_several(whole)
    rows = [
        {found.kind: each.flags[found.kind], **{q.name: q.of(each) for q in comparison.QUANTITIES}}
        for each in found.counted
    ]
    spreads = comparison.measured(found)
    summary = {
        'state': found.state,
        'seeds': list(found.seeds),
        'runs': rows,
        'mean': {name: each and each.mean for name, each in spreads.items()},
        'sd': {name: each and each.sd for name, each in spreads.items()},
    }
    with atomic_write(whole.summary, 'w') as file:
        json.dump(summary, file, indent=1)
    with atomic_write(whole.seeds_table, 'w') as file:
        file.write(_table(found, rows, spreads) + '\n')


def _table(
    found: history.SeveralSeeds,
    rows: Sequence[dict[str, Any]],
    spreads: dict[str, comparison.Spread | None],
) -> str:
    columns = [
        (q, spreads[q.name]) for q in comparison.QUANTITIES if q.name in _COLUMNS[found.kind]
    ]
    shown = [(q, total) for q, total in columns if total]
    headings = [q.heading + (' error %' if q.name.endswith('error') else '') for q, _ in shown]
    cells = [[found.kind, *headings]]
    for row in rows:
        values = ['–' if row[q.name] is None else f'{row[q.name]:{q.form}}' for q, _ in shown]
        cells.append([str(row[found.kind]), *values])
    cells.append(['mean ± sd', *(total.text(q.form) for q, total in shown)])
    return (
        f'{printable(found.name)}: {found.state}; sd is the standard deviation\n{aligned(cells, 1)}'
    )
