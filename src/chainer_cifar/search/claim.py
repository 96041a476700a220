"""Know which process is at a trial, so that another takes over where one has died.

A process holds a lock on a file of its trial, which the operating system takes from it when it
ends. Where that lock may be unknown to other machines, a sign of life in a second file tells: its
time is set anew every half minute, by the clock of the drive that all share.
"""

import contextlib
import os
import pathlib
import threading

import filelock

from chainer_cifar.runs import RunFolder
from chainer_cifar.search.lock import is_whole, machine

BEAT = 30.0  # seconds between two signs of life
SILENCE = 180.0  # seconds after which a process on another machine counts as dead


class Claim:
    """A trial that is ours until `release`, or until this process ends."""

    def __init__(self, lock: filelock.BaseFileLock, beat: pathlib.Path) -> None:
        self._lock = lock
        self._beat = beat
        self._ended = threading.Event()
        beat.write_text(machine(), encoding='utf-8')
        threading.Thread(target=self._live, daemon=True).start()

    def _live(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(OSError):  # of a drive that is away for a moment
                os.utime(self._beat)

    def release(self, ended: bool = False) -> None:
        """Let others have the trial; if it is at its end, nobody will want it any more."""
        self._ended.set()
        self._beat.unlink(missing_ok=True)
        self._lock.release()
        if ended:
            pathlib.Path(self._lock.lock_file).unlink(missing_ok=True)


def claim(trial: RunFolder) -> Claim | None:
    """Take a trial that nobody is at; None if somebody is. Hold the lock of the search for it."""
    claimed, beat = _files(trial)
    lock = filelock.FileLock(claimed, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        return None
    if _lives_elsewhere(beat):
        lock.release()
        return None
    return Claim(lock, beat)


def forget(trial: RunFolder) -> None:
    """Delete what a process that was killed may have left of its claim to a trial at its end."""
    for path in _files(trial):
        with contextlib.suppress(OSError):  # not there, or still open: that one deletes it
            path.unlink()


def _files(trial: RunFolder) -> tuple[pathlib.Path, pathlib.Path]:
    """The file that is locked, and the sign of life."""
    return trial.models.with_suffix('.claim'), trial.models.with_suffix('.beat')


def _lives_elsewhere(beat: pathlib.Path) -> bool:
    try:
        name, last = beat.read_text(encoding='utf-8', errors='replace'), beat.stat().st_mtime
    except FileNotFoundError:
        return False
    if name == machine() or not is_whole(name):
        return False  # the lock was free
    clock = beat.with_suffix('.now.beat')
    clock.touch()
    now = clock.stat().st_mtime
    clock.unlink(missing_ok=True)
    return now - last < SILENCE
