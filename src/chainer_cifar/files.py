"""Write a file so that a reader sees the old one or the new one, never half of either.

A writer holds a lock on its temporary file or folder. One without a lock is thus what a killed
process has left behind, and the next writer of the same file removes it.

What has its final name survives a power cut: the file is flushed to the disk before, the folder
after.

What is read is opened here, too, unless it is a pipe or a device, which might never end.
"""

import contextlib
import ctypes
import errno
import os
import pathlib
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, TextIO, TypeAlias

if sys.platform != 'win32':  # there, leftovers stay
    import fcntl

_SUFFIX = '.tmp'

Path: TypeAlias = str | os.PathLike[str]

_writes = True


def write_nothing() -> None:
    """Leave all writing by `atomic_write` to another process, of those that train together."""
    global _writes
    _writes = False


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = 'wb', errors: str = 'replace') -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; when the block succeeds, move it into place.

    After an error, a kill or a power cut, `path` is what it was before. Missing parent folders are
    made. Text is in UTF-8, whatever the environment says. An OSError names `path`.
    """
    path = pathlib.Path(path)
    if not _writes:
        with open(os.devnull, mode) as file:
            yield file
        return
    make_folder(path.parent)
    # A text may name a path, whose bytes may be no text.
    kwargs: dict[str, Any] = (
        {} if 'b' in mode else {'encoding': 'utf-8', 'errors': errors, 'newline': ''}
    )
    prefix = f'.{path.name}.'
    with naming(path, path.parent / prefix):
        _remove_unlocked(path.parent, prefix)
        handle, temporary = _locked_file(path.parent, prefix)
        with contextlib.ExitStack() as stack:
            if sys.platform != 'win32':  # keep the lock until the file has its name
                stack.callback(os.close, os.dup(handle))
            try:
                with os.fdopen(handle, mode, **kwargs) as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                os.chmod(temporary, 0o666 & ~umask())
                os.replace(temporary, path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
                raise
        sync(path.parent)


def make_folder(path: Path) -> list[pathlib.Path]:
    """Make a folder that is missing, and its missing parents; return them, innermost first."""
    path = pathlib.Path(path)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in made:
        sync(folder.parent)
    return made


@contextlib.contextmanager
def temporary_folder(beside: Path, name: str) -> Iterator[pathlib.Path]:
    """Make a folder in the folder `beside`, which `move_folder` may give its `name`.

    When the block ends, it is removed unless it was moved, and so is each folder that was made for
    it if nothing else came into it.
    """
    beside = pathlib.Path(beside)
    made = make_folder(beside)
    prefix = f'.{name}.'
    _restore(beside / name)
    _remove_unlocked(beside, prefix)
    with _locked_folder(beside, prefix) as temporary:
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            for folder in made:
                with contextlib.suppress(OSError):  # there is something in it
                    folder.rmdir()


def move_folder(source: pathlib.Path, target: pathlib.Path) -> None:
    """Put a folder of files in the place of the folder `target`, if there is one, at once.

    Who has mapped the old files still sees them. After an OSError, both are what they were.
    """
    source.chmod(0o777 & ~umask())  # it was made for our eyes only
    for path in source.iterdir():
        sync_file(path)
    sync(source)
    if not target.exists():
        source.rename(target)
        sync(target.parent)
        return
    with _locked(target):
        if _exchange(source, target):
            old = source
        else:
            old = _old_of(target, source.parent)
            target.rename(old)
            try:
                source.rename(target)
            except OSError:
                old.rename(target)
                raise
        sync(target.parent)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Let two folders exchange their names, where the system can do so in one step."""
    if not sys.platform.startswith('linux'):
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):  # a C library without it
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _old_of(target: pathlib.Path, beside: pathlib.Path) -> pathlib.Path:
    return beside / f'.{target.name}.old{_SUFFIX}'


def _restore(target: pathlib.Path) -> None:
    """Give a folder its name back, if `move_folder` was killed where it takes two steps."""
    old = _old_of(target, target.parent)
    if old.exists() and not target.exists():
        with contextlib.suppress(OSError):
            old.rename(target)


@contextlib.contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Make an OSError in the block name the file that it is about.

    Python names a file that it cannot open, but not one that it cannot write, as on a full disk.

    Args:
        path: The file that the block writes.
        temporary: How the names of temporary files for it begin.
    """
    try:
        yield
    except OSError as error:
        # tempfile names what it makes by the absolute path.
        ours = temporary is not None and str(error.filename).startswith(
            (str(temporary), os.path.abspath(temporary))
        )
        if error.filename is None or ours:
            error.filename = str(path)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes from `folder`."""
    _remove_unlocked(pathlib.Path(folder), '.')


def _locked_file(folder: pathlib.Path, prefix: str) -> tuple[int, str]:
    """Make and lock a temporary file; return its descriptor and its path."""
    while True:
        handle, path = tempfile.mkstemp(_SUFFIX, prefix, folder)
        _lock(handle, wait=True)
        if os.fstat(handle).st_nlink:
            return handle, path
        os.close(handle)  # somebody took it for a leftover, before it was locked


def _remove_unlocked(folder: pathlib.Path, prefix: str) -> None:
    if sys.platform == 'win32':
        return
    for name in os.listdir(folder):
        if name.startswith(prefix) and name.endswith(_SUFFIX):
            # It may be gone meanwhile, or belong to somebody else.
            with contextlib.suppress(OSError):
                handle = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK)
                try:
                    if not _lock(handle):
                        continue
                    if stat.S_ISDIR(os.fstat(handle).st_mode):
                        shutil.rmtree(folder / name)
                    else:
                        os.unlink(folder / name)
                finally:
                    os.close(handle)


@contextlib.contextmanager
def _locked_folder(beside: pathlib.Path, prefix: str) -> Iterator[pathlib.Path]:
    """Make and lock a temporary folder."""
    while True:
        path = pathlib.Path(tempfile.mkdtemp(_SUFFIX, prefix, beside))
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(FileNotFoundError):
                stack.enter_context(_locked(path, wait=True))
            if path.exists():  # or somebody took it for a leftover, before it was locked
                lock = stack.pop_all()
                break
    with lock:
        yield path


@contextlib.contextmanager
def _locked(folder: pathlib.Path, wait: bool = False) -> Iterator[None]:
    """Hold a lock on a folder, where the system has such locks; see `_lock`."""
    if sys.platform == 'win32':
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, wait)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, wait: bool = False) -> bool:
    """Lock an open file if it is not locked; say whether that was possible.

    Who has just made it shall `wait`: another has the lock only to remove it as a leftover, and
    until that is done, nobody sees that it goes.
    """
    if sys.platform == 'win32':
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # locked, or a file system without locks
        return False
    return True


def stamp(path: Path) -> tuple[int, ...]:
    """Return numbers that are others once the file was written again, or another took its place."""
    with naming(path):
        status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def sync(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the file system can do so."""
    with contextlib.suppress(OSError):
        _flush(folder)


def sync_file(path: Path) -> None:
    """Flush the content of a file to the disk."""
    with naming(path):
        _flush(path)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading its bytes, unless it is a pipe or a device."""
    require_no_pipe(path)
    return open(path, 'rb')


def open_text(path: Path, encoding: str = 'utf-8', errors: str = 'strict') -> TextIO:
    """Open a file for reading its text with the ends of lines as they are, likewise."""
    require_no_pipe(path)
    return open(path, encoding=encoding, errors=errors, newline='')


def require_no_pipe(path: Path) -> None:
    """Raise OSError if `path` is a pipe, a socket or a device, which may block or never end.

    Folders and missing files are left to whoever opens `path`.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        kind = os.stat(path).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise OSError(errno.EINVAL, 'is a pipe or a device, not a file', os.fspath(path))


def umask() -> int:
    """Return which permissions new files shall not have."""
    # To read the umask one must set it. Without it, mkstemp files would stay at 0600.
    value = os.umask(0)
    os.umask(value)
    return value
