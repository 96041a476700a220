"""Runs side by side: what they were given, how good and how fast they are. Tables of it."""

import json
import os
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from chainer_cifar import figures
from chainer_cifar.evaluation.history import History, SeveralSeeds, finite
from chainer_cifar.registry import Registry
from chainer_cifar.streams import printable
from chainer_cifar.table import aligned, comma_separated

Runs: TypeAlias = Sequence[History | SeveralSeeds]

formats = Registry[Callable[[Runs], str]]('format')

# Flags that say what a run is called, not what it is. Several seeds are told as such.
_NAMES = ('prefix', 'recipe')


class Quantity(NamedTuple):
    """A number of each run.

    Attributes:
        name: In JSON and CSV.
        heading: In a table.
        form: Of the number in a table.
        of: Gives it for a run of one seed, None where there is none.
    """

    name: str
    heading: str
    form: str
    of: Callable[[History], float | None]


def _of_best(column: str) -> Callable[[History], float | None]:
    return lambda run: run.best.get(column) if run.best else None


def _of_last(column: str) -> Callable[[History], float | None]:
    return lambda run: run.rows[-1].get(column) if run.rows else None


QUANTITIES = (
    Quantity('valid_error', 'valid', '.2f', _of_best('valid_error')),
    Quantity('test_error', 'test', '.2f', _of_best('test_error')),
    Quantity('best_epoch', 'best epoch', 'g', _of_best('epoch')),
    Quantity('last_valid_error', 'last valid', '.2f', _of_last('valid_error')),
    Quantity('last_test_error', 'last test', '.2f', _of_last('test_error')),
    Quantity('epochs', 'epochs', 'g', lambda run: len(run.rows)),
    Quantity('seconds', 'seconds', ',.1f', lambda run: run.summary.get('seconds')),
    Quantity('images_per_second', 'images/s', ',.0f', lambda r: r.summary.get('images_per_second')),
    Quantity('parameters', 'parameters', ',.0f', lambda run: run.parameters),
)


class Spread(NamedTuple):
    """Mean over seeds, and their standard deviation (of the sample: n - 1); None for one seed."""

    mean: float
    sd: float | None

    def text(self, form: str) -> str:
        mean = f'{self.mean:{".1f" if form == "g" and self.mean % 1 else form}}'
        counted = form in ('g', ',.0f')  # such as parameters: all alike is no measurement
        if self.sd is None or (counted and not self.sd):
            return mean
        return f'{mean} ± {self.sd:{".1f" if form == "g" else form}}'


def spread(values: Sequence[float | None]) -> Spread | None:
    """Of the numbers among `values`; None if there are none."""
    numbers = [value for value in map(finite, values) if value is not None]
    if not numbers:
        return None
    sd = statistics.stdev(numbers) if len(numbers) > 1 else None
    return Spread(statistics.fmean(numbers), sd)


def measured(run: History | SeveralSeeds) -> dict[str, Spread | None]:
    """All `QUANTITIES` of a run, by name; of several seeds, over those `counted`."""
    return {each.name: spread([each.of(one) for one in run.counted]) for each in QUANTITIES}


class Course(NamedTuple):
    """A column of the log over the epochs; of several seeds their mean, and standard deviation.

    Attributes:
        epochs: Numbers of the epochs.
        mean: A number for each.
        sd: The same; None for one seed.
    """

    epochs: list[int]
    mean: list[float]
    sd: list[float] | None


def course(run: History | SeveralSeeds, column: str) -> Course | None:
    """The course of a column of the log, such as ``valid_error``; None where there is none.

    Of several seeds, over the epochs that all have which are `counted`.
    """
    logs = [each.rows for each in run.counted if each.rows and column in each.rows[0]]
    if not logs:
        return None
    rows = list(zip(*logs, strict=False))
    values = [[row[column] for row in same_epoch] for same_epoch in rows]
    epochs = [same_epoch[0]['epoch'] for same_epoch in rows]
    if len(logs) == 1:
        return Course(epochs, [value for (value,) in values], None)
    table = np.array(values, np.float64)
    with np.errstate(invalid='ignore'):  # a loss may be infinite
        return Course(epochs, table.mean(axis=1).tolist(), table.std(axis=1, ddof=1).tolist())


def draw(histories: Runs, path: str | os.PathLike[str]) -> None:
    """Draw the curves of all runs into one PNG file."""
    columns = [f'{part}_{measure}' for part in figures.PARTS for measure in figures.MEASURES]
    drawn = []
    for run in histories:
        found = {column: course(run, column) for column in columns}
        drawn.append((run.name, {column: each for column, each in found.items() if each}))
    figures.comparison(drawn, path)


def differing(histories: Runs) -> dict[str, list[Any]]:
    """The flags that are not the same in all runs: of each, its value in every run.

    Of several seeds, `seed` is their list. A flag that a run does not know is None.
    """
    flags = [run.flags for run in histories]
    names = dict.fromkeys(name for each in flags for name in each if name not in _NAMES)
    values = {name: [each.get(name) for each in flags] for name in names}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


def told(value: object) -> str:
    """The value of a flag as one would type it."""
    if value is None:
        return '–'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, list):
        return ','.join(map(str, value))
    if isinstance(value, float):
        short = f'{value:g}'
        return short if float(short) == value else repr(value)
    return printable(value) or "''"


def result_rows(histories: Runs) -> list[list[str]]:
    """Heading, and a row for each run; errors in percent. What no run has gets no column."""
    columns = [['run', *(printable(run.name) for run in histories)]]
    columns.append(['state', *(run.state for run in histories)])
    numbers = [measured(run) for run in histories]
    for each in QUANTITIES:
        values = [found[each.name] for found in numbers]
        if any(values):
            texts = [value.text(each.form) if value else '–' for value in values]
            columns.append([each.heading, *texts])
    return [list(row) for row in zip(*columns, strict=True)]


def flag_rows(histories: Runs) -> list[list[str]]:
    """Heading, and a row for each flag that differs; empty if none does."""
    found = differing(histories)
    if not found:
        return []
    rows = [[f'--{name}', *map(told, values)] for name, values in found.items()]
    return [['flag', *(printable(run.name) for run in histories)], *rows]


def fold_note(histories: Runs) -> str:
    """Which epoch the result of folds is of; empty if there are none."""
    if not any(run.is_fold for run in histories):
        return ''
    return (
        'of folds the last epoch counts: the images that choose the best one are those that judge'
    )


def data_note(histories: Runs) -> str:
    """Whether the runs are of different data; empty if they are not.

    The same pictures treated otherwise are other data, too: nobody can tell.
    """
    known = {run.data_checksum for run in histories} - {None}
    if len(known) < 2:
        return ''
    return (
        'the runs are of different data (data_checksum): unless these are the same pictures, '
        'treated otherwise, their errors cannot be compared'
    )


@formats.register('table')
def table(histories: Runs) -> str:
    """Aligned columns for a reader."""
    notes = 'errors in percent, of the epoch with the lowest validation error and of the last'
    if any(isinstance(run, SeveralSeeds) for run in histories):
        notes += '; several seeds: mean ± standard deviation'
    flags = flag_rows(histories)
    more = [note for note in (fold_note(histories), data_note(histories)) if note]
    parts = [aligned(result_rows(histories), 2), '\n'.join([notes, *more])]
    if flags:
        parts.append(aligned(flags))
    elif len(histories) > 1:
        parts.append('their flags do not differ')
    return '\n\n'.join(parts)


def records(histories: Runs) -> list[dict[str, Any]]:
    """Plain values of each run: state, quantities, their ``_sd`` (None for one seed), flags."""
    flags = differing(histories)
    found = []
    for number, run in enumerate(histories):
        record = {'run': run.name, 'state': run.state, 'finished': run.finished}
        record['data_checksum'] = run.data_checksum
        # All folds have the same seed.
        record['seeds'] = list(dict.fromkeys(each.flags['seed'] for each in run.counted))
        for name, value in measured(run).items():
            record[name] = value and value.mean
            record[f'{name}_sd'] = value and value.sd
        record['flags'] = {name: values[number] for name, values in flags.items()}
        found.append(record)
    return found


@formats.register('json')
def as_json(histories: Runs) -> str:
    """A list of the `records`; ``flags`` are those that differ."""
    return json.dumps(records(histories), indent=1)


@formats.register('csv')
def as_csv(histories: Runs) -> str:
    """A line for each run; a flag that differs is a column ``--name``."""
    found = records(histories)
    flags = list(found[0]['flags'])
    names = [name for name in found[0] if name != 'flags']
    lines = [[*names, *(f'--{name}' for name in flags)]]
    for record in found:
        values = [record[name] for name in names]
        values[names.index('seeds')] = told(record['seeds'])
        lines.append([*values, *(told(record['flags'][name]) for name in flags)])
    return comma_separated(lines)
