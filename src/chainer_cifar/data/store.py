"""Read and write the preprocessed files: image*.pkl, label.pkl, classes.json, image*_stats.npz.

A pickle holds a dictionary with 'train' and 'test', as in the original project: float32 images of
32x32 in colour, as rows ``(N, 3072)``, or int32 labels ``(N,)``; raw images are uint8. Files that
the original project itself wrote can be read, too.

Images of any size lie in a folder, image_raw/, as train.npy and test.npy, uint8 ``(N, C, H, W)``.
They are mapped into memory, so that a data set may be larger than that.
"""

import contextlib
import csv
import io
import json
import os
import pathlib
import pickle
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import files, json_file, npz_file
from chainer_cifar.arrays import Array
from chainer_cifar.data import pickles
from chainer_cifar.data.preprocess import PIXELS, Preprocessing, name_of, preprocessing
from chainer_cifar.errors import UserError, command_line, first_line
from chainer_cifar.files import atomic_write, require_no_pipe

LABEL_FILE = 'label.pkl'
CLASSES_FILE = 'classes.json'
PICTURES_FILE = 'pictures.csv'  # which file became which image
RAW_FOLDER = 'image_raw'

Shape: TypeAlias = tuple[int, int, int]  # (C, H, W) of an image
CIFAR_SHAPE: Shape = (3, 32, 32)
LARGEST = 2048  # pixels on a side; no net here takes larger images

# How a picture of other proportions becomes an image; see picture.py.
CROP = 'crop'
FITS = (CROP, 'pad', 'squash')

A = TypeVar('A', bound=Array)
Path: TypeAlias = str | os.PathLike[str]
Images: TypeAlias = NDArray[np.float32] | NDArray[np.uint8]  # (N, C, H, W)

PARTS = ('train', 'test')
VALID, GROUP = 'valid', 'group'  # what labels may tell besides; see read_labels

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


def require_shape(shape: tuple[int, ...]) -> Shape:
    """Return `shape` if it may be that of an image, ``(C, H, W)``; raise ValueError otherwise."""
    if len(shape) != 3 or shape[0] not in (1, 3) or not all(1 <= n <= LARGEST for n in shape[1:]):
        raise ValueError(f'{shape} is not the shape of an image, (1 or 3, height, width)')
    channels, height, width = shape
    return channels, height, width


def require_fit(fit: str) -> str:
    """Return `fit` if it is one of `FITS`; raise ValueError otherwise."""
    if fit not in FITS:
        raise ValueError(f'fit is {fit!a}, not one of {", ".join(FITS)}')
    return fit


def in_words(shape: Shape) -> str:
    """Describe a shape, as in ``64x48 in colour``, width before height."""
    return f'{shape[2]}x{shape[1]} in {"colour" if shape[0] == 3 else "grey"}'


def read_images(path: Path) -> dict[str, Images]:
    """Read images, read-only: uint8 if they are raw, otherwise float32.

    Args:
        path: A pickle; or a folder with train.npy and test.npy, which are mapped into memory.

    Returns:
        ``{'train': (N, C, H, W), 'test': (M, C, H, W)}``

    Raises:
        UserError: The file is missing or damaged, has another shape, or holds NaN or infinity.
    """

    if pathlib.Path(path).is_dir():
        return {**map_images(pathlib.Path(path))}

    def check(images: Array) -> Images:
        if images.ndim != 2 or images.shape[1] != PIXELS or len(images) == 0:
            raise ValueError(f'has shape {images.shape} instead of (N, {PIXELS})')
        images = images.reshape(-1, *CIFAR_SHAPE)
        if images.dtype == np.uint8:
            return np.ascontiguousarray(images)
        with np.errstate(over='ignore'):
            images = images.astype(np.float32, order='C', copy=False)
        # NaN and infinity show in min and max, which need no memory.
        if not np.isfinite([images.min(), images.max()]).all():
            raise ValueError('has values that are not finite')
        return images

    return _read_split(path, '-d', ('u1', 'f2', 'f4', 'f8'), 'bytes or floats', check)


def map_images(folder: pathlib.Path) -> dict[str, NDArray[np.uint8]]:
    """Map the raw images in a folder into memory; see `read_images`.

    Raises:
        UserError: A file in it is missing or damaged, or has another shape than it should.
    """
    found: dict[str, NDArray[np.uint8]] = {}
    for part in PARTS:
        path = folder / f'{part}.npy'
        try:
            require_no_pipe(path)
            array = np.load(path, mmap_mode='r', allow_pickle=False)
            if array.dtype != np.uint8 or array.ndim != 4 or not len(array):
                raise ValueError(f'holds {array.dtype} {array.shape}, not uint8 (N, C, H, W)')
            require_shape(array.shape[1:])
            if not array.flags.c_contiguous:
                raise ValueError('is in Fortran order')
            found[part] = np.asarray(array)  # what is gathered from it is no memory map
        except FileNotFoundError:
            raise UserError(f'{path}: no such file; {_make()}') from None
        except Exception as error:  # the header of a damaged file raises a dozen kinds of errors
            text = getattr(error, 'strerror', None) or first_line(error)
            raise UserError(f'{path}: {text}; {_make()}') from None
    if found['train'].shape[1:] != found['test'].shape[1:]:
        raise UserError(
            f'{folder}: images of two shapes, {found["train"].shape[1:]} in train.npy and '
            f'{found["test"].shape[1:]} in test.npy; {_make()}'
        )
    return found


def read_labels(path: Path) -> dict[str, NDArray[np.int32]]:
    """Read labels, read-only.

    Returns:
        ``{'train': (N,), 'test': (M,)}``, all 0 or more. Of pictures of the user's there are more:
        'group' ``(N,)``, numbers of which equal ones mark training images that belong together,
        and, where the user chose them, 'valid' ``(V,)``, the training images that validate.

    Raises:
        UserError: The file is missing or damaged, has another shape, or holds other numbers.
    """

    def check(labels: Array) -> NDArray[np.int32]:
        if labels.ndim != 1 or len(labels) == 0:
            raise ValueError(f'has shape {labels.shape} instead of (N,)')
        if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
            raise ValueError('has labels out of range')
        return labels.astype(np.int32, copy=False)

    labels = _read_split(path, '-l', _INTEGERS, 'integers', check, (VALID, GROUP))
    count, valid = len(labels['train']), labels.get(VALID)
    if valid is not None and (valid.max() >= count or len(np.unique(valid)) != len(valid)):
        raise UserError(f"{path}: '{VALID}' are not numbers of training images; {_make()}")
    if GROUP in labels and len(labels[GROUP]) != count:
        raise UserError(f"{path}: '{GROUP}' does not tell of each training image; {_make()}")
    return labels


def _read_split(
    path: Path,
    flag: str,
    dtypes: Collection[str],
    what: str,
    check: Callable[[Array], A],
    optional: Collection[str] = (),
) -> dict[str, A]:
    path = pathlib.Path(path)
    if not path.exists():
        names = [name for name in preprocessing if image_file(name) == path.name]
        only = f' --only {names[0]}' if names else ''
        raise UserError(f'{path}: no such file; {_make(only)}, or give its path with {flag}')
    content = pickles.load(path)
    split = {}
    for part in (*PARTS, *(name for name in optional if name in content)):
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
        names = json_file.read(path)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError('not a list of names')
    except (ValueError, OSError) as error:
        raise UserError(f'{path}: {error}; {_make()}') from None
    return names


def read_statistics(path: Path) -> tuple[Preprocessing, str]:
    """Read a fitted preprocessing, which can be called on new pictures (see preprocess.py).

    Returns:
        It, and how the pictures became images, a word of `FITS`.

    Raises:
        UserError: The file is missing or damaged.
    """
    with npz_errors(path, _make(), 'not the statistics of a preprocessing', _make()):
        content = npz_file.read(path)
        fit = require_fit(str(content.pop('fit', CROP)))
        return preprocessing[str(content.pop('preprocessing'))](**content), fit


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
    except Exception as error:  # odd arrays can fail in any way in what is made of them
        raise UserError(f'{path}: {damage} ({first_line(error)}); {if_damaged}') from None


def write_split(path: Path, train: Array, test: Array, **more: Array | None) -> None:
    """Write a pickle in the original format (with protocol 5, which copies no array).

    `more` may be `VALID` and `GROUP` of labels; see `read_labels`.
    """
    told = {name: array for name, array in more.items() if array is not None}
    with atomic_write(path) as file:
        pickle.dump({'train': train, 'test': test, **told}, file, protocol=5)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError in the block into a UserError that says that `path` cannot be written."""
    try:
        yield
    except OSError as error:
        raise UserError(f'{path}: cannot be written: {error.strerror or error}') from None


@contextlib.contextmanager
def temporary_folder(beside: Path) -> Iterator[pathlib.Path]:
    """Make a folder for the files of image_raw/, which `files.move_folder` may take away.

    Raises:
        UserError: It cannot be made in the folder `beside`.
    """
    with contextlib.ExitStack() as stack:
        with writing(beside):
            temporary = stack.enter_context(files.temporary_folder(beside, RAW_FOLDER))
        yield temporary


def write_class_names(path: Path, names: Iterable[str]) -> None:
    """Write classes.json."""
    with atomic_write(path, 'w') as file:
        json.dump(list(names), file, indent=1)


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV file, file names with the bytes that they have, so that they are found again."""
    with atomic_write(path, 'w', errors='surrogateescape') as file:
        file.write(table(columns, rows))


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Make the text of a CSV file."""
    file = io.StringIO(newline='')
    plain = csv.writer(file, lineterminator='\n')
    quoted = csv.writer(file, lineterminator='\n', quoting=csv.QUOTE_ALL)
    for row in (columns, *rows):
        values = [str(value) for value in row]
        # Python quotes no carriage return before 3.13, but reads one as the end of a line.
        (quoted if any('\r' in value for value in values) else plain).writerow(values)
    return file.getvalue()


def write_statistics(path: Path, fitted: Preprocessing, fit: str | None = None) -> None:
    """Write the name and the fields of a fitted preprocessing; and `fit`, if any.

    `fit` says how the pictures became images, a word of `FITS`.
    """
    content: dict[str, Any] = {'preprocessing': np.array(name_of(fitted)), **vars(fitted)}
    if fit is not None:
        content['fit'] = np.array(fit)
    with atomic_write(path) as file:
        np.savez(file, **content)


def require_space(folder: Path, names: Iterable[str], count: int) -> None:
    """Raise UserError if image files of `count` images would not fit in `folder`.

    A file that is there already makes room, but only when the new one is complete.

    Args:
        folder: Where they will be written; it need not exist yet.
        names: The names of their preprocessings.
        count: How many images each file will hold.
    """
    needed = written = freed = 0
    for name in names:
        written += count * PIXELS * np.dtype(preprocessing[name].dtype).itemsize
        needed = max(needed, written - freed)
        path = pathlib.Path(folder, image_file(name))
        freed += path.stat().st_size if path.exists() else 0
    require_bytes(folder, needed, 'fewer files with --only')


def require_bytes(folder: Path, needed: int, less: str) -> None:
    """Raise UserError if `needed` bytes do not fit on the disk of `folder`, which may not exist.

    `less` says what else the user could write.
    """
    folder = pathlib.Path(folder)
    existing = next(f for f in (folder, *folder.absolute().parents) if f.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f'{folder}: needs {needed / 1e6:.0f} MB and its disk has {free / 1e6:.0f} MB free; '
            f'make room, or write elsewhere with --out, or {less}'
        )
