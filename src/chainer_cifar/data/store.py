"""The preprocessed files: image*.pkl, label.pkl, classes.json and image*_stats.npz.

A pickle holds a dictionary with 'train' and 'test', the format of the original project: float32
images (N, 3072), int32 labels (N,); raw images are uint8. Files of the original project itself
can be read too.
"""

import contextlib
import json
import pathlib
import pickle
import shutil

import numpy as np

from chainer_cifar.data import pickles
from chainer_cifar.data.preprocess import PIXELS, preprocessing
from chainer_cifar.errors import UserError, as_typed
from chainer_cifar.files import atomic_write

LABEL_FILE = 'label.pkl'
CLASSES_FILE = 'classes.json'

_INTEGERS = ('u1', 'u2', 'u4', 'u8', 'i1', 'i2', 'i4', 'i8')


def image_file(name):
    """The file of a preprocessing: 'mean' -> 'image.pkl', 'zca' -> 'image_zca.pkl'."""
    return f'{_stem("image", name)}.pkl'


def statistics_file(name):
    """'mean' -> 'image_stats.npz', 'zca' -> 'image_zca_stats.npz'."""
    return f'{_stem("image", name)}_stats.npz'


def sample_file(name):
    """'mean' -> 'sample.png', 'zca' -> 'sample_zca.png'."""
    return f'{_stem("sample", name)}.png'


def _make(flags=''):
    return f'make it with: {as_typed("dataset" + flags)}'


def _stem(kind, name):
    return kind if name == 'mean' else f'{kind}_{name}'


def read_images(path):
    """{'train': (N, 3072), 'test': (M, 3072)}, uint8 of raw images or else float32; read-only.

    Raises UserError when the file is missing, damaged, of another shape or not finite.
    """

    def check(images):
        if images.ndim != 2 or images.shape[1] != PIXELS or len(images) == 0:
            raise ValueError(f'has shape {images.shape} instead of (N, {PIXELS})')
        if images.dtype == np.uint8:
            return np.ascontiguousarray(images)
        with np.errstate(over='ignore'):
            images = images.astype(np.float32, order='C', copy=False)
        # NaN and infinity survive min and max, which need no memory.
        if not np.isfinite([images.min(), images.max()]).all():
            raise ValueError('has values that are not finite')
        return images

    return _read_split(path, '-d', ('u1', 'f2', 'f4', 'f8'), 'bytes or floats', check)


def read_labels(path):
    """{'train': int32 (N,), 'test': int32 (M,)}, read-only, all >= 0; raises as read_images."""

    def check(labels):
        if labels.ndim != 1 or len(labels) == 0:
            raise ValueError(f'has shape {labels.shape} instead of (N,)')
        if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
            raise ValueError('has labels out of range')
        return labels.astype(np.int32, copy=False)

    return _read_split(path, '-l', _INTEGERS, 'integers', check)


def _read_split(path, flag, dtypes, what, check):
    path = pathlib.Path(path)
    if not path.exists():
        names = [name for name in preprocessing if image_file(name) == path.name]
        only = f' --only {names[0]}' if names else ''
        raise UserError(f'{path}: no such file; {_make(only)}, or say with {flag} where it is')
    content = pickles.load(path)
    split = {}
    for part in ('train', 'test'):
        try:
            array = content.pop(part, None)
            if type(array) is not np.ndarray or array.dtype.str[1:] not in dtypes:
                raise ValueError(f'is not an array of {what}')
            split[part] = check(array)
            split[part].flags.writeable = False
        except ValueError as error:
            raise UserError(f"{path}: '{part}' {error}; {_make()}") from None
    return split


def read_class_names(label_path):
    """The list of class names in classes.json beside `label_path`, None if there is no such file.

    Raises UserError when it is damaged.
    """
    path = pathlib.Path(label_path).with_name(CLASSES_FILE)
    if not path.exists():
        return None
    try:
        names = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError('not a list of names')
    except (ValueError, RecursionError, OSError) as error:
        raise UserError(f'{path}: {error}; {_make()}') from None
    return names


def read_statistics(path):
    """The fitted preprocessing in `path`, to be called on new pictures (see preprocess.py).

    Raises UserError when the file is missing or damaged.
    """
    with npz_errors(path, _make(), 'not the statistics of a preprocessing', _make()):
        content = read_arrays(path)
        return preprocessing[str(content.pop('preprocessing'))](**content)


def read_arrays(path):
    """The arrays of an npz file by name; it raises a dozen kinds of errors, see `npz_errors`."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


@contextlib.contextmanager
def npz_errors(path, if_missing, damage, if_damaged):
    """Turn whatever goes wrong with an npz file inside the block into a UserError.

    Args:
        path: The file.
        if_missing: What to do where there is none.
        damage: What is wrong otherwise.
        if_damaged: What to do then.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f'{path}: no such file; {if_missing}') from None
    except Exception as error:  # a damaged zip file raises a dozen kinds
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'{path}: {damage} ({text}); {if_damaged}') from None


def write_split(path, train, test):
    """Write a pickle of the original format (in protocol 5, which copies no array)."""
    with atomic_write(path) as file:
        pickle.dump({'train': train, 'test': test}, file, protocol=5)


def write_class_names(path, names):
    with atomic_write(path, 'w') as file:
        json.dump(list(names), file, indent=1)


def write_statistics(path, name, fitted):
    """Write the fields of a fitted preprocessing that is registered as `name`."""
    with atomic_write(path) as file:
        np.savez(file, preprocessing=name, **vars(fitted))


def require_space(folder, names, count):
    """Raise UserError if the image files of the preprocessings `names` would not fit in `folder`.

    `count` is the number of images. A file that is there already is replaced, but only when the
    new one is complete.
    """
    folder = pathlib.Path(folder)
    needed = written = freed = 0
    for name in names:
        written += count * PIXELS * np.dtype(preprocessing[name].dtype).itemsize
        needed = max(needed, written - freed)
        path = folder / image_file(name)
        freed += path.stat().st_size if path.exists() else 0
    existing = next(f for f in (folder, *folder.absolute().parents) if f.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f'{folder}: needs {needed / 1e6:.0f} MB and its disk has {free / 1e6:.0f} MB free; '
            'make room, or write elsewhere with --out, or fewer files with --only'
        )
