"""Read JSON from untrusted sources: files, and texts in other files."""

import json
import os
from typing import Any

from chainer_cifar.files import open_text

LARGEST = 2**28  # letters; ours have a few thousand, and that of a long log a million
_WHOLE = 2**63  # what is no number of an int64 is none of ours


def read(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file in UTF-8.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It cannot be read, or is a pipe or a device.
        ValueError: It is too large, no JSON, or JSON that no program of ours writes; see `loads`.
    """
    with open_text(path) as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise ValueError(f'it has more than {LARGEST:,} letters')
    return loads(text)


def loads(text: str) -> Any:
    """Read a text as JSON; NaN and infinity are numbers, too.

    Raises:
        ValueError: It is no JSON, is nested deeply, or holds a whole number of more than 64 bits.
    """
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError('it is nested too deeply') from None


def _whole(digits: str) -> int:
    number = int(digits)
    if not -_WHOLE <= number < _WHOLE:  # as a float it may be none
        raise ValueError(f'it holds a number of {len(digits)} digits')
    return number
