"""Read and write the preprocessed files: image*.pkl, label.pkl, classes.json, image*_stats.npz.

A pickle holds a dictionary with 'train' and 'test', as in the original project: float32 images
``(N, 3072)`` or int32 labels ``(N,)``; raw images are uint8. Files that the original project itself
wrote can be read, too.
"""

import contextlib
import json
import os
import pathlib
import pickle
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import npz_file
from chainer_cifar.arrays import Array
from chainer_cifar.data import pickles
from chainer_cifar.data.preprocess import PIXELS, Preprocessing, preprocessing
from chainer_cifar.errors import UserError, command_line
from chainer_cifar.files import atomic_write

LABEL_FILE = 'label.pkl'
CLASSES_FILE = 'classes.json'

A = TypeVar('A', bound=Array)
Path: TypeAlias = str | os.PathLike[str]
Rows: TypeAlias = NDArray[np.float32] | NDArray[np.uint8]  # images (N, 3072)

_INTEGERS = ('u1', 'u2', 'u4', 'u8', 'i1', 'i2', 'i4', 'i8')


def image_file(name: str) -> str:
    """Return 'image.pkl' for the preprocessing 'mean', 'image_zca.pkl' for 'zca'."""
    return f'{_stem("image", name)}.pkl'


def statistics_file(name: str) -> str:
    """Return 'image_stats.npz' for 'mean', 'image_zca_stats.npz' for 'zca'."""
    return f'{_stem("image", name)}_stats.npz'


def sample_file(name: str) -> str:
    """Return 'sample.png' for 'mean', 'sample_zca.png' for 'zca'."""
    return f'{_stem("sample", name)}.png'


def _make(flags: str = '') -> str:
    return f'make it with: {command_line("dataset" + flags)}'


def _stem(kind: str, name: str) -> str:
    return kind if name == 'mean' else f'{kind}_{name}'


def read_images(path: Path) -> dict[str, Rows]:
    """Read images, read-only: uint8 if they are raw, otherwise float32.

    Returns:
        ``{'train': (N, 3072), 'test': (M, 3072)}``

    Raises:
        UserError: The file is missing or damaged, has another shape, or holds NaN or infinity.
    """

    def check(images: Array) -> Rows:
        if images.ndim != 2 or images.shape[1] != PIXELS or len(images) == 0:
            raise ValueError(f'has shape {images.shape} instead of (N, {PIXELS})')
        if images.dtype == np.uint8:
            return np.ascontiguousarray(images)
        with np.errstate(over='ignore'):
            images = images.astype(np.float32, order='C', copy=False)
        # NaN and infinity show in min and max, which need no memory.
        if not np.isfinite([images.min(), images.max()]).all():
            raise ValueError('has values that are not finite')
        return images

    return _read_split(path, '-d', ('u1', 'f2', 'f4', 'f8'), 'bytes or floats', check)


def read_labels(path: Path) -> dict[str, NDArray[np.int32]]:
    """Read labels, read-only.

    Returns:
        ``{'train': (N,), 'test': (M,)}``, all 0 or more.

    Raises:
        UserError: The file is missing or damaged, has another shape, or holds other numbers.
    """

    def check(labels: Array) -> NDArray[np.int32]:
        if labels.ndim != 1 or len(labels) == 0:
            raise ValueError(f'has shape {labels.shape} instead of (N,)')
        if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
            raise ValueError('has labels out of range')
        return labels.astype(np.int32, copy=False)

    return _read_split(path, '-l', _INTEGERS, 'integers', check)


def _read_split(
    path: Path, flag: str, dtypes: Collection[str], what: str, check: Callable[[Array], A]
) -> dict[str, A]:
    path = pathlib.Path(path)
    if not path.exists():
        names = [name for name in preprocessing if image_file(name) == path.name]
        only = f' --only {names[0]}' if names else ''
        raise UserError(f'{path}: no such file; {_make(only)}, or give its path with {flag}')
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


def read_class_names(label_path: Path) -> list[str] | None:
    """Return the class names in classes.json beside `label_path`; None if there is no such file.

    Raises:
        UserError: The file is damaged.
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


def read_statistics(path: Path) -> Preprocessing:
    """Read a fitted preprocessing, which can be called on new pictures (see preprocess.py).

    Raises:
        UserError: The file is missing or damaged.
    """
    with npz_errors(path, _make(), 'not the statistics of a preprocessing', _make()):
        content = npz_file.read(path)
        return preprocessing[str(content.pop('preprocessing'))](**content)


@contextlib.contextmanager
def npz_errors(path: Path, if_missing: str, damage: str, if_damaged: str) -> Iterator[None]:
    """Turn any error that an npz file causes in the block into a UserError.

    Args:
        path: The file.
        if_missing: What to do if there is no such file.
        damage: What is wrong if another error comes.
        if_damaged: What to do in that case.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f'{path}: no such file; {if_missing}') from None
    except Exception as error:  # whatever odd arrays do to what is made of them
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'{path}: {damage} ({text}); {if_damaged}') from None


def write_split(path: Path, train: Array, test: Array) -> None:
    """Write a pickle in the original format (with protocol 5, which copies no array)."""
    with atomic_write(path) as file:
        pickle.dump({'train': train, 'test': test}, file, protocol=5)


def write_class_names(path: Path, names: Iterable[str]) -> None:
    """Write classes.json."""
    with atomic_write(path, 'w') as file:
        json.dump(list(names), file, indent=1)


def write_statistics(path: Path, name: str, fitted: Preprocessing) -> None:
    """Write the fields of a fitted preprocessing that is registered as `name`."""
    with atomic_write(path) as file:
        np.savez(file, preprocessing=np.array(name), **vars(fitted))


def require_space(folder: Path, names: Iterable[str], count: int) -> None:
    """Raise UserError if image files of `count` images would not fit in `folder`.

    A file that is there already makes room, but only when the new one is complete.

    Args:
        folder: Where they will be written; it need not exist yet.
        names: The names of their preprocessings.
        count: How many images each file will hold.
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
