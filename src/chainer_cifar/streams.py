"""Standard output and standard error, whatever they are: closed, full, of a small encoding."""

import contextlib
import io
import logging
import os
import re
import sys
import unicodedata
import warnings

from chainer_cifar.files import naming

STDOUT = 'standard output'
_KEPT = ('encoding', 'line_buffering', 'write_through')

# What would split a line or steer a terminal: control characters, line and paragraph separators.
_ESCAPED = ('Cc', 'Zl', 'Zp')

# Lone surrogates that do not stand for a byte of a file name; JSON can hold them.
_NO_BYTES = re.compile('[\ud800-\udc7f\udd00-\udfff]')


def prepare() -> None:
    """Make the standard streams writable for every text; a command calls it before all else.

    What is closed (``>&-``) is opened on the null device: otherwise the next file to be opened
    would take its number, and get what C libraries write there. What the encoding of standard
    output cannot write becomes a question mark; in standard error Python writes an escape.
    """
    for name, mode in (('stdin', 'r'), ('stdout', 'w'), ('stderr', 'w')):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding='utf-8'))  # noqa: SIM115
    # What libraries say in lines of their own is for those who write programs; -W shows it.
    logging.disable(logging.WARNING)
    if not sys.warnoptions:
        warnings.simplefilter('ignore')
    kept = {name: getattr(sys.stdout, name) for name in _KEPT}
    sys.stdout = _Output(sys.stdout.detach(), errors='replace', **kept)


class _Output(io.TextIOWrapper):
    """Standard output whose failures say what it is that cannot be written."""

    def write(self, text):
        with naming(STDOUT):
            return super().write(text)

    def flush(self):
        with naming(STDOUT):
            super().flush()


def tell(*lines: object) -> None:
    """Print each of `lines` to standard error; if nobody can read it any more, that is no error."""
    try:
        print('\n'.join(map(printable, lines)), file=sys.stderr, flush=True)
    except OSError:
        drop(sys.stderr)


def printable(text: object) -> str:
    """A text, or a path of whatever bytes, as one line: control characters are escaped."""
    text = _NO_BYTES.sub('\ufffd', str(text))
    text = text.encode('utf-8', 'surrogateescape').decode('utf-8', 'replace')
    return ''.join(
        letter.encode('unicode_escape').decode()
        if unicodedata.category(letter) in _ESCAPED
        else letter
        for letter in text
    )


@contextlib.contextmanager
def silence():
    """Send nowhere what C libraries write to standard error in the block, as libtiff does."""
    kept = os.dup(2)
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def drop(stream) -> None:
    """Send nowhere what is still to be written to `stream`, which has lost its reader or disk."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
