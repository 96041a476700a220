"""Read npz files of arrays from untrusted sources: weights, snapshots, statistics."""

import os
import warnings
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.files import open_bytes

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
        FileNotFoundError: There is no such file.
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
    except (FileNotFoundError, Damaged):
        raise
    except Exception as error:
        # A damaged zip file raises a dozen kinds of errors: zipfile's, zlib's, NumPy's, ast's.
        reason = getattr(error, 'strerror', None) or next(iter(str(error).splitlines()), '')
        raise Damaged(reason or type(error).__name__) from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise Damaged(f'{name!a} in it is not a NumPy array')
    return arrays


def _require_small(file: zipfile.ZipFile, names: Iterable[str]) -> None:
    """Raise Damaged if packed members unpack to more than `LARGEST`: a few MB could fill memory.

    What is not packed has no more bytes than the file.
    """
    wanted = {end for name in names for end in (name, f'{name}.npy')}
    packed = (each for each in file.infolist() if each.compress_type != zipfile.ZIP_STORED)
    if sum(each.file_size for each in packed if each.filename in wanted) > LARGEST:
        raise Damaged(f'it unpacks to more than {LARGEST / 1e9:.0f} GB')
