"""Write to standard output and standard error even if they are closed, full or in ASCII."""

import contextlib
import io
import logging
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from chainer_cifar.files import naming

STDOUT = 'standard output'
_KEPT = ('encoding', 'line_buffering', 'write_through')

# These would split a line or steer a terminal: control characters, line and paragraph separators.
_ESCAPED = ('Cc', 'Zl', 'Zp')
# These would show what follows them in another order, as the end of a name before its beginning.
_REORDER = ('LRE', 'RLE', 'LRO', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI', 'PDI')

# JSON can hold lone surrogates, which stand for no byte of a file name.
_NO_BYTES = re.compile('[\ud800-\udc7f\udd00-\udfff]')


def prepare() -> None:
    """Make the standard streams writable for every text; call it before all else in a command.

    Closed streams (``>&-``) are opened on the null device: otherwise the next file to be opened
    would take their number, and get what C libraries write there. Letters that standard output
    cannot encode become question marks; in standard error Python writes escapes.
    """
    for name, mode in (('stdin', 'r'), ('stdout', 'w'), ('stderr', 'w')):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding='utf-8'))  # noqa: SIM115
    # The warnings of libraries are for programmers; -W shows them.
    logging.disable(logging.WARNING)
    if not sys.warnoptions:
        warnings.simplefilter('ignore')
    kept = {name: getattr(sys.stdout, name) for name in _KEPT}
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _Output(sys.stdout.detach(), errors='replace', **kept)


class _Output(io.TextIOWrapper):
    """Standard output, with errors that name it."""

    def write(self, text: str) -> int:
        with naming(STDOUT):
            return super().write(text)

    def flush(self) -> None:
        with naming(STDOUT):
            super().flush()


def tell(*lines: object) -> None:
    """Print each of `lines` to standard error; ignore it if nobody can read that any more."""
    try:
        print('\n'.join(map(printable, lines)), file=sys.stderr, flush=True)
    except OSError:
        drop(sys.stderr)


def printable(text: object) -> str:
    """Write a text, or a path with any bytes, in one line: control characters are escaped."""
    line = _NO_BYTES.sub('\ufffd', str(text))
    line = line.encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')
    return ''.join(
        letter.encode('unicode_escape').decode() if _is_escaped(letter) else letter
        for letter in line
    )


def _is_escaped(letter: str) -> bool:
    category, order = unicodedata.category(letter), unicodedata.bidirectional(letter)
    return category in _ESCAPED or order in _REORDER


@contextlib.contextmanager
def apart() -> Iterator[None]:
    """Keep what Python writes to standard error, even while `silence` runs in another thread."""
    if not _is_stderr(sys.stderr):
        yield
        return
    with (
        open(os.dup(2), 'w', 1, sys.stderr.encoding, sys.stderr.errors) as stream,
        contextlib.redirect_stderr(stream),
    ):
        yield


def _is_stderr(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, AttributeError):  # in a notebook, or a test that catches it
        return False


@contextlib.contextmanager
def silence() -> Iterator[TextIO]:
    """Drop what C libraries, such as libtiff, write to standard error in the block.

    What the block writes to the stream that it gets, such as a bar of progress, is seen.
    """
    kept = os.dup(2)
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
        if _is_stderr(sys.stderr):
            with open(kept, 'w', encoding=sys.stderr.encoding, closefd=False) as stream:
                yield stream
        else:
            yield sys.stderr
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def progress_bar(
    what: str,
    total: int | None = None,
    unit: str = 'img',
    console: TextIO | None = None,
    **more: Any,
) -> Any:
    """Make a bar of tqdm, which goes to a terminal or a notebook, not into a file.

    Args:
        what: A word for what is done.
        total: How many units there are, if that is known.
        unit: What is counted.
        console: A terminal, if it is one; None: standard error. A notebook shows each change of the
            stream as a new block, so there the bar goes where all else goes.
        more: As of tqdm; unless this says so, the bar goes when it is closed.
    """
    from tqdm import tqdm  # if it is missing, cli.py, which imports this file, can say so

    in_notebook = type(sys.stdout).__module__.startswith('ipykernel')
    where = (
        {'disable': False, 'file': sys.stdout}
        if in_notebook
        else {'disable': None, 'file': console}
    )
    return tqdm(desc=what, total=total, unit=unit, **{'leave': False, **where, **more})


def drop(stream: TextIO) -> None:
    """Drop all further output to `stream`, which has lost its reader or disk."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
