"""A lock between processes on one machine and on several that share the folder.

The operating system's lock ends with the process that holds it, however that ends, but on some
network drives it is seen on its own machine only. A file that is made exclusively is seen on all,
but stays when its process is killed. So we take both: who holds the first knows that a file of its
own machine is a leftover.
"""

import contextlib
import os
import pathlib
import platform
import time
from types import TracebackType

import filelock

GRACE = 60.0  # seconds after which another machine's file that does not change is a leftover
CUT_OFF = 1.0  # the same of a file without a whole name, which a power cut leaves


def machine() -> str:
    """What a process writes into a file of its own: the name of its machine, and an end."""
    return f'{platform.node()}\n'


def is_whole(name: str) -> bool:
    """Say whether a machine's name was written to its end; a power cut may leave a part."""
    return name.endswith('\n')


class Lock:
    """Two files beside `path`; also what Optuna's journal takes as its ``lock_obj``."""

    def __init__(self, path: pathlib.Path) -> None:
        self._system = filelock.FileLock(path.with_name(f'{path.name}.lock'))
        self._file = path.with_name(f'{path.name}.held')
        self._machine = machine()

    def acquire(self) -> bool:
        """Wait until the lock is ours."""
        self._system.acquire()
        try:
            self._make()
        except BaseException:
            self._system.release()
            raise
        return True

    def release(self) -> None:
        """Give it back."""
        with contextlib.suppress(OSError):  # a machine that lost patience took it
            if self._read() == self._machine:
                self._file.unlink()
        self._system.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _read(self) -> str:
        return self._file.read_text(encoding='utf-8', errors='replace')

    def _make(self) -> None:
        seen: tuple[str, float] | None = None
        since = time.monotonic()
        while True:
            with contextlib.suppress(FileExistsError):
                handle = os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                with os.fdopen(handle, 'w', encoding='utf-8') as file:
                    file.write(self._machine)
                return
            try:
                found = self._read(), self._file.stat().st_mtime
            except OSError:  # it is gone meanwhile
                continue
            if found != seen:
                seen, since = found, time.monotonic()
            grace = GRACE if is_whole(found[0]) else CUT_OFF
            if found[0] == self._machine or time.monotonic() - since > grace:
                with contextlib.suppress(OSError):
                    self._file.unlink()
            else:
                time.sleep(0.05)
