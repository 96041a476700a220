"""Write a file so that a reader sees the old one or the new one, never half of either."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any, TypeAlias

_SUFFIX = '.tmp'

Path: TypeAlias = str | os.PathLike[str]

_writes = True


def write_nothing() -> None:
    """Leave all writing by `atomic_write` to another process, of those that train together."""
    global _writes
    _writes = False


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = 'wb') -> Iterator[IO[Any]]:
    """Open a temporary file beside `path`; when the block succeeds, move it into place.

    After an error, a kill or a power cut, `path` is what it was before. Missing parent folders are
    made. Text is in UTF-8, whatever the environment says. An OSError names `path`.
    """
    path = pathlib.Path(path)
    if not _writes:
        with open(os.devnull, mode) as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A text may name a path, whose bytes may be no text.
    kwargs: dict[str, Any] = (
        {} if 'b' in mode else {'encoding': 'utf-8', 'errors': 'replace', 'newline': ''}
    )
    prefix = f'.{path.name}.'
    with naming(path, path.parent / prefix):
        handle, temporary = tempfile.mkstemp(_SUFFIX, prefix, path.parent)
        try:
            with os.fdopen(handle, mode, **kwargs) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


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
        ours = temporary is not None and str(error.filename).startswith(str(temporary))
        if error.filename is None or ours:
            error.filename = str(path)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of a killed process; no other may be writing into the folder."""
    for path in pathlib.Path(folder).glob(f'.*{_SUFFIX}'):
        path.unlink()


def _umask() -> int:
    # To read the umask one must set it. Without it, mkstemp files would stay at 0600.
    value = os.umask(0)
    os.umask(value)
    return value
