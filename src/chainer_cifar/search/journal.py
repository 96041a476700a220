"""Optuna's journal of a search, in one file that several processes and machines share.

Each line is a change, in JSON. A process that is killed while it writes may leave half a line; the
next one that writes cuts it off.
"""

import pathlib
from collections.abc import Iterator
from typing import Any

from chainer_cifar import extras, json_file
from chainer_cifar.errors import UserError
from chainer_cifar.files import naming, open_bytes
from chainer_cifar.search.lock import Lock

STUDY = 'search'  # its name in the journal, which holds no other

# What Optuna raises for changes that make no sense.
_UNREADABLE = (LookupError, ValueError, TypeError, AttributeError, RuntimeError, AssertionError)


def optuna() -> Any:
    """Return the package `optuna`, made silent; raise UserError if it is not installed."""
    found = extras.package('optuna', 'search', 'search')
    found.logging.set_verbosity(found.logging.ERROR)
    return found


class Journal:
    """What Optuna's JournalStorage takes as its backend.

    Args:
        path: The file, which need not be there.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        backends = optuna().storages.journal
        with naming(path):
            self._file = backends.JournalFileBackend(str(path), lock_obj=_WholeLines(path))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the changes from this one on, counted from 0."""
        try:
            with naming(self.path):
                for change in self._file.read_logs(log_number_from):
                    _require_change(change)
                    yield change
        except ValueError as error:
            raise damaged(self.path, error) from None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add changes, all of them or none."""
        with naming(self.path):
            self._file.append_logs(logs)


class _WholeLines(Lock):
    """The lock of the journal; whoever gets it finds whole lines."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(path)
        self._path = path

    def acquire(self) -> bool:
        super().acquire()
        try:
            with open(self._path, 'r+b') as file:
                end = file.seek(0, 2)
                file.seek(max(end - 1, 0))
                if file.read(1) not in (b'', b'\n'):
                    file.seek(0)
                    file.truncate(file.read().rfind(b'\n') + 1)
        except BaseException:
            self.release()
            raise
        return True


def damaged(path: pathlib.Path, error: Exception) -> UserError:
    """Make what to raise for a journal that does not make sense."""
    reason = ' '.join(str(error).split()) or type(error).__name__
    return UserError(
        f'{path}: cannot be read ({reason}); put a copy of it back, or begin again with --overwrite'
    )


def open_study(path: pathlib.Path, begin: bool = True) -> Any:
    """Open the study of a journal; None if it holds none, and nobody shall `begin` one.

    Raises:
        UserError: The journal is damaged.
    """
    package = optuna()
    if path.exists():
        _require_whole(path)
    try:
        storage = package.storages.JournalStorage(Journal(path))
        if STUDY in package.get_all_study_names(storage):
            return package.load_study(study_name=STUDY, storage=storage)
        if not begin:
            return None
        return package.create_study(study_name=STUDY, storage=storage, direction='minimize')
    except _UNREADABLE as error:
        raise damaged(path, error) from None


def _require_whole(path: pathlib.Path) -> None:
    """Raise UserError, which names the line, unless all whole lines are changes."""
    with open_bytes(path) as file:
        lines = file.read().split(b'\n')
    for number, line in enumerate(lines[:-1], 1):  # what follows the last end may be half a line
        try:
            _require_change(json_file.loads(line.decode()))
        except ValueError as error:
            raise damaged(path, ValueError(f'line {number}: {error}')) from None


def _require_change(change: object) -> None:
    if not isinstance(change, dict) or type(change.get('op_code')) is not int:
        raise ValueError('no change of a search')
