"""Read npz files of arrays from an unknown hand: weights, snapshots, statistics."""

import os
import warnings
import zipfile
from collections.abc import Callable

import numpy as np

from chainer_cifar.arrays import Array


class Damaged(ValueError):
    """What is wrong with a file that cannot be read, in a few words."""


def read(
    path: str | os.PathLike[str], choose: Callable[[list[str]], list[str]] = list
) -> dict[str, Array]:
    """The arrays of the npz file `path`, by their names.

    Args:
        path: The file.
        choose: From all names in it to those of the arrays that are wanted.

    Returns:
        None of the arrays holds Python objects.

    Raises:
        FileNotFoundError: There is no such file.
        Damaged: It is no zip file, or it is damaged, or holds anything but arrays.
    """
    try:
        # NumPy takes what is no zip file for a pickle, and would tell how to load it unsafely.
        with open(path, 'rb') as file:
            if not zipfile.is_zipfile(file):
                raise Damaged('no zip file')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of what NumPy makes of odd headers
            with np.load(path, allow_pickle=False) as npz:
                arrays = {name: npz[name] for name in choose(npz.files)}
    except (FileNotFoundError, Damaged):
        raise
    except Exception as error:
        # A damaged zip file raises a dozen kinds: of zipfile, zlib, lzma, of NumPy, of ast.
        reason = getattr(error, 'strerror', None) or next(iter(str(error).splitlines()), '')
        raise Damaged(reason or type(error).__name__) from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise Damaged(f'{name!a} in it is no array of NumPy')
    return arrays
