"""Read npz files of arrays from untrusted sources: weights, snapshots, statistics."""

import errno
import math
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.lib.format as npy
from numpy.typing import NDArray

from chainer_cifar.errors import first_line
from chainer_cifar.files import open_bytes

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# As NumPy packs. Of other ways zipfile unpacks a whole block, whatever a member's size shall be.
_PACKINGS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
LARGEST = 2**31  # bytes of what is unpacked; a snapshot of our largest net has a quarter of that


class Damaged(ValueError):
    """A file is unreadable; the text says why in a few words."""


def read(
    path: str | os.PathLike[str], choose: Callable[[list[str]], Iterable[str]] = list
) -> dict[str, NDArray[Any]]:
    """Read the arrays of an npz file by name; none of them holds Python objects.

    Args:
        path: The file.
        choose: Takes all names in it and returns those of the arrays to read.

    Raises:
        OSError: There is no such file, or the system does not let us read it.
        MemoryError: There is less memory than the arrays need.
        Damaged: It is not a zip file, is damaged, is too large unpacked, or holds anything but
            arrays.
    """
    try:
        # NumPy takes any other file for a pickle, and would tell how to load it unsafely.
        with open_bytes(path) as file:
            if not zipfile.is_zipfile(file):
                raise Damaged('not a zip file')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # NumPy's, about odd headers
            with np.load(path, allow_pickle=False) as npz:
                chosen = list(choose(npz.files))
                _require_small(npz.zip, chosen)
                arrays = {name: npz[name] for name in chosen}
    except (Damaged, MemoryError):
        raise
    except Exception as error:
        # A place in a damaged file may be one before its begin.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            error.filename = os.fspath(path)
            raise
        # A damaged zip file raises a dozen kinds of errors: zipfile's, zlib's, NumPy's, ast's.
        raise Damaged(getattr(error, 'strerror', None) or first_line(error)) from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise Damaged(f'{name!a} in it is not a NumPy array')
    return arrays


def _require_small(file: zipfile.ZipFile, names: Iterable[str]) -> None:
    """Raise Damaged if members unpack to more than `LARGEST`: a few MB could fill memory.

    What is not packed has no more bytes than the file, unless members overlap or lie.
    """
    wanted = {end for name in names for end in (name, f'{name}.npy')}
    left = max(LARGEST, file.fp.seek(0, os.SEEK_END) if file.fp else 0)
    for member in file.infolist():
        if member.filename in wanted:
            if member.compress_type not in _PACKINGS:
                raise Damaged('it is packed in another way than NumPy packs')
            left -= max(member.file_size, _declared(file, member))
    if left < 0:
        raise Damaged(f'it unpacks to more than {LARGEST / 1e9:.0f} GB')


def _declared(file: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """The bytes of an array as its own header tells them, for which NumPy makes room at once."""
    with file.open(member) as stream:
        try:
            version = npy.read_magic(stream)
        except ValueError:  # it is no array
            return 0
        try:
            shape, _, dtype = _HEADERS[version](stream)
        except (KeyError, MemoryError):  # Python's own of the latter, about brackets in brackets
            raise Damaged('the header of an array in it is odd') from None
    return math.prod(shape) * dtype.itemsize
