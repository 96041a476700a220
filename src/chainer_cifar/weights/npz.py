"""Read the arrays of a file of ``chainer.serializers.save_npz``, or of a snapshot of ours."""

import zipfile
import zlib

import numpy as np

from chainer_cifar.errors import UserError

# Where a snapshot-*.npz has the net; beside it lie the optimizer and the rest.
_PREDICTOR = 'updater/model:main/predictor/'
_DAMAGE = (OSError, EOFError, KeyError, ValueError, MemoryError, zipfile.BadZipFile, zlib.error)


def read(path):
    """The arrays in the npz file `path`, a snapshot's without the path to the net.

    Returns:
        dict: From names such as ``conv1/W`` to arrays.

    Raises:
        UserError: The file is missing or damaged, or holds anything but arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as npz:
            prefix = _PREDICTOR if any(name.startswith(_PREDICTOR) for name in npz.files) else ''
            arrays = {
                name.removeprefix(prefix): npz[name]
                for name in npz.files
                if name.startswith(prefix)
            }
    except _DAMAGE as error:
        # NumPy takes what is no zip file for a pickle, and would tell how to load it unsafely.
        reason = 'no zip file' if isinstance(error, ValueError) else error
        raise UserError(f'{path}: not a readable npz of weights ({reason})') from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise UserError(f'{path}: a zip file, but {name!a} in it is no array of NumPy')
    return arrays
