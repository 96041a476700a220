"""What a run left under results/, finished or not: flags, log, result. Nothing is computed anew."""

import contextlib
import dataclasses
import functools
import math
import pathlib
from collections.abc import Collection, Iterator
from typing import Any

from chainer_cifar import config as train_config
from chainer_cifar import json_file, runs
from chainer_cifar.errors import UserError
from chainer_cifar.nets.undrawn import undrawn
from chainer_cifar.runs import RunFolder

SEEDS_VERSION = 1  # of seeds.json

_ADVICE = 'copy it again, or leave out this run'

# What the log must hold of each epoch; validation only where there is some.
LOGGED = ('epoch', 'train_loss', 'train_error', 'test_loss', 'test_error')
_TIMES = ('epochs', 'seconds', 'images_per_second')  # what of summary.json is used


def best(rows: list[dict[str, Any]], last_counts: bool = False) -> dict[str, Any]:
    """The row of the lowest validation error (the first of equals); without one, the last.

    The test error of this row is the run's result: the test set chooses nothing.

    Args:
        rows: Of a log.
        last_counts: The last row in any case; see `TrainConfig.last_counts`.
    """
    if last_counts or 'valid_error' not in rows[-1]:
        return rows[-1]
    return min(rows, key=lambda row: row['valid_error'])


def epochs_since_best(rows: list[dict[str, Any]], last_counts: bool = False) -> int:
    """Count the epochs since the `best` one, for ``--patience``; 0 before the first."""
    return rows[-1]['epoch'] - best(rows, last_counts)['epoch'] if rows else 0


def checked_rows(rows: object, needed: Collection[str] = LOGGED) -> list[dict[str, Any]]:
    """Return `rows` if they can be those of a log, one an epoch, with the columns that are needed.

    Raises:
        ValueError: They cannot.
    """
    if not isinstance(rows, list):
        raise ValueError('the log is not a list of rows')
    for epoch, row in enumerate(rows, 1):
        if (
            not isinstance(row, dict)
            or not set(needed) <= row.keys() == rows[0].keys()
            or not all(map(_is_number, row.values()))
            or type(row['epoch']) is not int
            or row['epoch'] != epoch
        ):
            raise ValueError(f'row {epoch} of the log is malformed')
    return rows


@dataclasses.dataclass(frozen=True)
class History:
    """A run of one seed; see `read`.

    Attributes:
        folder: Its folders.
        description: Its config.json.
        rows: Its log, one row an epoch (see training/log.py); empty before the end of the first.
        summary: Its summary.json, of its last end; empty before.
        training: A process is at it.
    """

    folder: RunFolder
    description: dict[str, Any]
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    training: bool

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def histories(self) -> tuple['History', ...]:
        """This one; of `SeveralSeeds`, those of all seeds that have begun."""
        return (self,)

    @property
    def counted(self) -> tuple['History', ...]:
        """This one; of `SeveralSeeds`, those that its mean is of."""
        return (self,)

    @property
    def flags(self) -> dict[str, Any]:
        """Of now, if it was resumed with others; those that it does not know are at their default.

        An earlier version had fewer flags.
        """
        return {**_DEFAULTS, **runs.of_now(self.description)['flags']}

    @property
    def is_fold(self) -> bool:
        """It is a run of a cross-validation, so its last epoch counts."""
        return bool(self.flags['folds'])

    @property
    def data_checksum(self) -> str | None:
        """Of the data it was trained on; None if that is unknown."""
        checksum = self.description.get('data_checksum')
        return checksum if isinstance(checksum, str) and checksum else None

    @property
    def planned(self) -> int:
        """Epochs that it shall train."""
        return self.flags['iter']

    @property
    def best(self) -> dict[str, Any] | None:
        """The row that gives the result; None before the first."""
        return best(self.rows, self.is_fold) if self.rows else None

    @property
    def finished(self) -> bool:
        return self.finished_by(self.planned, self.flags['patience'])

    def finished_by(self, epochs: int, patience: int) -> bool:
        """Has it trained so many, or `patience` since its best, and written its summary?

        A `patience` of 0 ends no run.
        """
        if not self.rows or self.summary.get('epochs') != len(self.rows):
            return False
        return len(self.rows) >= epochs or 0 < patience <= epochs_since_best(self.rows)

    @property
    def state(self) -> str:
        """``finished``, or how far it is, in words."""
        if self.finished and not self.training:
            return 'finished'
        word = 'training' if self.training else 'unfinished'
        return f'{word}, {len(self.rows)} of {self.planned} epochs'

    @functools.cached_property
    def parameters(self) -> int | None:
        """Of its net; None if that is unknown here, as one of another version may be."""
        try:
            config = train_config.from_dict(self.flags, self.folder.config)
            shape = runs.image_shape(self.description)
            with undrawn():
                net = config.create_net(len(self.description['classes']), shape)
            return net.count_params()
        except (UserError, KeyError, TypeError, ValueError, AttributeError):
            return None


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(train_config.TrainConfig)}


@dataclasses.dataclass(frozen=True)
class SeveralSeeds:
    """The same run for several seeds; see `read`.

    Attributes:
        folder: Of the whole.
        seeds: All of them.
        own_flags: Of its seeds.json.
        histories: Of those that have begun, in this order.
    """

    folder: RunFolder
    seeds: tuple[int, ...]
    own_flags: dict[str, Any]
    histories: tuple[History, ...]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def kind(self) -> str:
        """What they differ in: ``seed``, or the ``fold`` of a cross-validation."""
        return kind_of(self.own_flags)

    @property
    def flags(self) -> dict[str, Any]:
        """As of one seed; `seed` (or `fold`) is the list of all."""
        return {**_DEFAULTS, **self.own_flags, self.kind: list(self.seeds)}

    @property
    def is_fold(self) -> bool:
        """As of a `History`."""
        return self.kind == 'fold'

    @property
    def data_checksum(self) -> str | None:
        """Of all seeds or folds; None if that is unknown."""
        return self.histories[0].data_checksum if self.histories else None

    @property
    def counted(self) -> tuple[History, ...]:
        """Those whose mean is the result: what is unfinished counts only if all are."""
        done = tuple(history for history in self.histories if history.finished)
        return done or self.histories

    @property
    def finished(self) -> bool:
        done = [history.finished for history in self.histories]
        return len(done) == len(self.seeds) and all(done)

    @property
    def state(self) -> str:
        count = len(self.seeds)
        if self.finished:
            return f'finished, {count} {self.kind}s'
        done = sum(history.finished for history in self.histories)
        word = 'training' if any(each.training for each in self.histories) else 'unfinished'
        return f'{word}, {done} of {count} {self.kind}s'


def read(name: str) -> History | SeveralSeeds:
    """Read a run, as RUN, results/RUN or models/RUN.

    Raises:
        UserError: There is none, or a file of it is damaged.
    """
    folder = runs.find(name)
    if not folder.seeds.exists():
        return read_one(folder)
    return read_several(folder)


def kind_of(flags: dict[str, Any]) -> str:
    """What the runs of a seeds.json with these flags differ in: ``seed`` or ``fold``."""
    return 'fold' if flags.get('folds') else 'seed'


def read_several(folder: RunFolder) -> SeveralSeeds:
    """Read a run with several seeds.

    Raises:
        UserError: A file of it is damaged.
    """
    content = read_seeds(folder)
    seeds = tuple(content['seeds'])
    of = folder.of_fold if kind_of(content['flags']) == 'fold' else folder.of_seed
    begun = [run for run in map(of, seeds) if run.config.exists()]
    return SeveralSeeds(folder, seeds, content['flags'], tuple(map(read_one, begun)))


def read_all(names: list[str]) -> tuple[list[History | SeveralSeeds], list[str]]:
    """Read runs; each once, however often it is named.

    Returns:
        The runs, and a line on each that cannot be read.

    Raises:
        UserError: None can be read.
    """
    found: dict[str, History | SeveralSeeds] = {}
    problems = []
    for name in dict.fromkeys(names):
        try:
            history = read(name)
            found.setdefault(history.name, history)
        except UserError as error:
            problems.append(str(error))
    if not found:
        raise UserError(problems[0])
    return list(found.values()), problems


def read_one(folder: RunFolder) -> History:
    """Read a run of one seed.

    Raises:
        UserError: There is none, or a file of it is damaged.
    """
    try:
        description = runs.read_description(folder.config, {'flags'}, _ADVICE)
    except FileNotFoundError:
        raise UserError(f'{folder.config}: there is no such run') from None
    with _readable(folder.config):
        _check_description(description)
    rows: list[dict[str, Any]] = []
    summary: dict[str, Any] = {}
    with contextlib.suppress(FileNotFoundError), _readable(folder.log_json):
        rows = checked_rows(json_file.read(folder.log_json))
    with contextlib.suppress(FileNotFoundError), _readable(folder.summary):
        summary = _summary(folder.summary)
    return History(folder, description, rows, summary, folder.in_use())


def read_seeds(folder: RunFolder) -> dict[str, Any]:
    """The content of seeds.json: ``seeds`` and ``flags``, those that all of them have.

    Raises:
        UserError: It is damaged.
    """
    with _readable(folder.seeds):
        return _seeds(folder.seeds)


@contextlib.contextmanager
def _readable(path: pathlib.Path) -> Iterator[None]:
    """Turn what the block raises of a damaged file into a UserError; a missing one stays so."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: cannot be read ({error}); {_ADVICE}') from None


def _check_description(description: dict[str, Any]) -> None:
    for part in (description, *description.get('resumed', ())):
        epochs, patience = (part['flags'].get(*each) for each in (('iter', 1), ('patience', 0)))
        whole = isinstance(epochs, int) and isinstance(patience, int)
        if not whole or epochs < 1 or patience < 0 or not _is_seed(part['flags'].get('seed', 1)):
            raise ValueError('its flags are not those of a run')


def _summary(path: pathlib.Path) -> dict[str, Any]:
    summary = json_file.read(path)
    if not isinstance(summary, dict) or not all(_is_number(summary.get(key)) for key in _TIMES):
        raise ValueError('something is missing in it')
    return summary


def _seeds(path: pathlib.Path) -> dict[str, Any]:
    content = json_file.read(path)
    if not isinstance(content, dict) or content.get('version') != SEEDS_VERSION:
        raise ValueError(f'it is not of version {SEEDS_VERSION}')
    if not isinstance(content.get('flags'), dict):
        raise ValueError('its flags are not a dictionary')
    seeds = content.get('seeds')
    if not isinstance(seeds, list) or not seeds or not all(_is_seed(seed) for seed in seeds):
        raise ValueError('its seeds are not a list of numbers')
    return content


def _is_seed(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < 2**32


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def finite(value: float | None) -> float | None:
    """The value, or None if it is none: NaN and infinity, as of a loss beyond measure, too."""
    return value if value is not None and math.isfinite(value) else None
