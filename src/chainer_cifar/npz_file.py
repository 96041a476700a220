"""Read npz files of arrays from untrusted sources: weights, snapshots, statistics."""

import os
import warnings
import zipfile
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.files import open_bytes


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
        Damaged: It is not a zip file, is damaged, or holds anything but arrays.
    """
    try:
        # NumPy takes any other file for a pickle, and would tell how to load it unsafely.
        with open_bytes(path) as file:
            if not zipfile.is_zipfile(file):
                raise Damaged('not a zip file')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # NumPy's, about odd headers
            with np.load(path, allow_pickle=False) as npz:
                arrays = {name: npz[name] for name in choose(npz.files)}
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
