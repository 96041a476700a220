"""What the trials of a search gave: a table, search.json, a picture, the command of the best."""

import json
import math
import shlex
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chainer_cifar import figures
from chainer_cifar.errors import command_line
from chainer_cifar.files import atomic_write
from chainer_cifar.runs import RunFolder
from chainer_cifar.search import journal, space
from chainer_cifar.search.space import Choice, Range, Space, Value
from chainer_cifar.streams import printable
from chainer_cifar.table import aligned

VERSION = 1  # of search.json

FINISHED, STOPPED, DIVERGED = 'finished', 'stopped', 'diverged'
FAILED, RUNNING = 'failed', 'unfinished'
_STATES = {'COMPLETE': FINISHED, 'PRUNED': STOPPED, 'FAIL': FAILED, 'RUNNING': RUNNING}

SHOWN = 10  # trials in the terminal
LEAST = 8  # trials from which on they tell what mattered
TOP = 5  # trials that what mattered is about, or a tenth of all


class Trial(NamedTuple):
    """A trial.

    Attributes:
        number: From 1.
        state: One of those above.
        error: The lowest on validation images, percent; None before the first epoch.
        epoch: Of this error.
        epochs: How many it has trained.
        values: Of what is searched.
        reason: Why it failed.
        twin: The number of an earlier trial with the same flags, from which the error is.
    """

    number: int
    state: str
    error: float | None
    epoch: int | None
    epochs: int
    values: dict[str, Value]
    reason: str | None
    twin: int | None


class Found(NamedTuple):
    """What `read` found.

    Attributes:
        folder: Of the search.
        space: What is searched.
        planned: How many trials there shall be.
        trials: The best first.
        importances: The share of each flag in what made the best ones good; empty if there are too
            few trials to tell.
    """

    folder: RunFolder
    space: Space
    planned: int
    trials: list[Trial]
    importances: dict[str, float]

    @property
    def best(self) -> Trial | None:
        """The trial with the lowest validation error among those that are finished."""
        first = self.trials[0] if self.trials else None
        return first if first and first.state == FINISHED else None

    @property
    def state(self) -> str:
        counts = dict.fromkeys((FINISHED, STOPPED, DIVERGED, FAILED, RUNNING), 0)
        for trial in self.trials:
            counts[trial.state] += 1
        told = ', '.join(f'{count} {state}' for state, count in counts.items() if count)
        return f'{len(self.trials)} of {self.planned} trials: {told or "none yet"}'

    @property
    def finished(self) -> bool:
        """Are all trials at their end?"""
        ended = [trial.state != RUNNING for trial in self.trials]
        return len(ended) >= self.planned and all(ended)


def read(folder: RunFolder, study: Any, searched: Space, planned: int) -> Found:
    """Read the trials of a search from its study."""
    known = study.get_trials(deepcopy=False)
    trials = sorted((_trial(each, searched) for each in known), key=_rank)
    return Found(folder, searched, planned, trials, _importances(trials, known))


def values_of(trial: Any, searched: Space) -> dict[str, Value]:
    """Return the values of a trial of Optuna's, as its run has them."""
    items = searched.searched
    return {
        name: item.rounded(value) if isinstance(item := items[name], Range) else value
        for name, value in trial.params.items()
        if name in items
    }


def _trial(each: Any, searched: Space) -> Trial:
    errors = each.intermediate_values
    epoch = min(errors, key=errors.__getitem__) if errors else None
    reason, twin = each.user_attrs.get('reason'), each.user_attrs.get('twin')
    state = _STATES[each.state.name]
    if state == STOPPED and reason:
        state = DIVERGED
    return Trial(
        each.number + 1,
        state,
        None if epoch is None else errors[epoch],
        epoch,
        len(errors),
        values_of(each, searched),
        reason,
        None if twin is None else twin + 1,
    )


_ORDER = (FINISHED, STOPPED, RUNNING, DIVERGED, FAILED)


def _rank(trial: Trial) -> tuple[float, ...]:
    """The best first; of two that were stopped, the one that came further."""
    error = math.inf if trial.error is None else trial.error
    further = 0 if trial.state == FINISHED else -trial.epochs
    return _ORDER.index(trial.state), further, error, trial.number


def _importances(trials: Sequence[Trial], known: Sequence[Any]) -> dict[str, float]:
    """Compute by PED-ANOVA (Watanabe et al., 2023) how much each flag made the best ones good.

    It compares where the best trials lie with where all lie, so that only the order of the trials
    counts; therefore those that were stopped or diverged tell their part, too.

    Args:
        trials: The best first.
        known: Optuna's, by their numbers from 0.
    """
    judged = (FINISHED, STOPPED, DIVERGED)
    ended = [known[trial.number - 1] for trial in trials if trial.state in judged]
    if len(ended) < LEAST:
        return {}
    package = journal.optuna()
    study = package.create_study(direction='minimize')
    for place, trial in enumerate(ended):
        study.add_trial(
            package.trial.create_trial(
                params=trial.params, distributions=trial.distributions, value=float(place)
            )
        )
    names = sorted({name for trial in ended for name in trial.params})
    shares = {}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that this part of Optuna is new
        quantile = min(0.5, max(0.1, TOP / len(ended)))
        evaluator = package.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
        for name in names:  # one by one, since a flag may be in some trials only
            if sum(name in trial.params for trial in ended) >= LEAST:
                shares[name] = evaluator.evaluate(study, [name])[name]
    total = sum(shares.values())
    if not total > 0:
        return {}
    ordered = sorted(shares, key=lambda name: -shares[name])
    return {name: float(shares[name] / total) for name in ordered}


def best_command(found: Found) -> str | None:
    """Write the command that trains the best trial, as the user would type it."""
    if found.best is None:
        return None
    words = as_arguments(found.space.typed(found.best.values))
    name = f'{found.folder.name}_best'
    return command_line(f'train {shlex.join([*words, "-p", name])}')


def as_arguments(flags: Mapping[str, Value]) -> list[str]:
    """Write flags as words of a command line."""
    words: list[str] = []
    for name, value in flags.items():
        if isinstance(value, bool):
            words += [f'--{name}'] if value else []
        else:
            words += [f'--{name}', space.write(value)]
    return words


def write(found: Found) -> None:
    """Write search.json and search.txt."""
    best = found.best
    content = {
        'version': VERSION,
        'name': found.folder.name,
        'state': found.state,
        'finished': found.finished,
        'flags': {name: space.write(item) for name, item in found.space.items.items()},
        'best': best and {'trial': best.number, 'command': best_command(found)},
        'importances': found.importances,
        'trials': [
            {
                'trial': trial.number,
                'run': found.folder.of_trial(trial.twin or trial.number).name,
                'state': trial.state,
                'valid_error': trial.error,
                'epoch': trial.epoch,
                'epochs': trial.epochs,
                'flags': trial.values,
                'reason': trial.reason,
                'same_as': trial.twin,
            }
            for trial in found.trials
        ],
    }
    with atomic_write(found.folder.search, 'w') as file:
        json.dump(content, file, indent=1)
    with atomic_write(found.folder.search_table, 'w') as file:
        file.write(table(found, len(found.trials)) + '\n')


def table(found: Found, shown: int = SHOWN) -> str:
    """Tell the best trials, what mattered, and the command of the best."""
    searched = list(found.space.searched)
    rows = [['trial', 'valid error %', 'best epoch', 'state', *searched]]
    for trial in found.trials[:shown]:
        state = trial.state if trial.twin is None else f'{trial.state}, as trial {trial.twin}'
        values = [
            space.write(trial.values[name]) if name in trial.values else '–' for name in searched
        ]
        error = '–' if trial.error is None else f'{trial.error:.2f}'
        rows.append([str(trial.number), error, str(trial.epoch or '–'), state, *values])
    lines = [f'{printable(found.folder.name)}: {found.state}', aligned(rows)]
    more = len(found.trials) - shown
    if more > 0:
        lines.append(f'… and {more} more')
    if found.importances:
        told = [f'{name} {100 * share:.0f} %' for name, share in found.importances.items()]
        lines.append(f'what mattered: {", ".join(told)}')
    if command := best_command(found):
        lines += [f'best: trial {found.trials[0].number}', f'  {command}']
    lines.append('Errors are on validation images; the test set was not looked at.')
    return '\n'.join(lines)


def _drawn(values: Mapping[str, Value], searched: Space) -> dict[str, Any]:
    items = searched.searched
    return {
        name: value if isinstance(items[name], Range) else space.write(value)
        for name, value in values.items()
    }


def _axis(item: Range | Choice) -> tuple[list[str], tuple[float, float] | None, bool]:
    if isinstance(item, Range):
        return [], (item.low, item.high), item.log
    return [space.write(value) for value in item.values], None, False


def draw(found: Found) -> None:
    """Draw what mattered."""
    points = [
        figures.Point(t.number, t.error, t.state == FINISHED, _drawn(t.values, found.space))
        for t in found.trials
        if t.error is not None and t.twin is None
    ]
    parts = [
        figures.Flag(name, *_axis(item), found.importances.get(name))
        for name, item in found.space.searched.items()
    ]
    title = f'{found.folder.name}: {found.state}'
    figures.search(points, parts, title, found.folder.search_picture)
