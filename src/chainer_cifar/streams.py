"""Writing to readers that may have left, as those of ``| head`` and ``| tee`` do."""

import contextlib
import os
import sys


def tell(line):
    """Print to standard error; if nobody reads it any more, that is no error."""
    with contextlib.suppress(BrokenPipeError):
        print(line, file=sys.stderr, flush=True)


def drop_stdout():
    """Standard output has lost its reader: send what is still written to it nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
