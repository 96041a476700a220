"""Write a file so that a reader sees the old one or the new one, never half of either."""

import contextlib
import os
import pathlib
import tempfile

_SUFFIX = '.tmp'


@contextlib.contextmanager
def atomic_write(path, mode='wb'):
    """Open a temporary file beside `path`; when the block succeeds, move it into place.

    After an error, a kill or a power cut, `path` is what it was before. Parent folders are made.
    Text is written in UTF-8, whatever the environment says. An OSError names `path`.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A path may be of bytes that are no text.
    kwargs = {} if 'b' in mode else {'encoding': 'utf-8', 'errors': 'replace', 'newline': ''}
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
def naming(path, temporary=None):
    """Let an OSError in the block name the file that it is about.

    Python names the file that cannot be opened, but not the one that cannot be written, as where
    the disk is full.

    Args:
        path (pathlib.Path): The file that is written in the block.
        temporary (pathlib.Path): What the names of the files begin with that stand for it.
    """
    try:
        yield
    except OSError as error:
        of_ours = temporary is not None and str(error.filename).startswith(str(temporary))
        if error.filename is None or of_ours:
            error.filename = str(path)
        raise


def remove_leftovers(folder):
    """Remove the temporary files of a process that was killed, where none can be writing now."""
    for path in pathlib.Path(folder).glob(f'.*{_SUFFIX}'):
        path.unlink()


def _umask():
    # There is no way to read the umask but to set it; mkstemp files are 0600 otherwise.
    value = os.umask(0)
    os.umask(value)
    return value
