"""Preprocess the pictures of a source and write them into a folder (see store.py)."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Container, Iterable, Iterator
from typing import TypeAlias

import numpy as np

from chainer_cifar.arrays import Array
from chainer_cifar.data import picture_table, store
from chainer_cifar.data.preprocess import PIXELS, Preprocessing, Raw, name_of, preprocessing
from chainer_cifar.data.sources import RawImages
from chainer_cifar.data.store import CIFAR_SHAPE
from chainer_cifar.errors import UserError
from chainer_cifar.files import move_folder
from chainer_cifar.streams import progress_bar, tell
from chainer_cifar.table import sized

SAMPLES = 100  # pictures of the training set to draw
SHEET = SAMPLES * 256**2  # pixels of them all together, at most
RAW = 'raw'

# Draws some preprocessed pictures, float32 or uint8 (N, 3, 32, 32), into a file.
Draw: TypeAlias = Callable[[Array, pathlib.Path], None]


def write(
    raw: RawImages, names: Iterable[str], folder: pathlib.Path, eps: float, draw: Draw
) -> None:
    """Write for each preprocessing its images, statistics, samples; then classes.json, label.pkl.

    Raw images of another size than CIFAR's, and the user's own, become a folder image_raw/; the
    files that these were decoded into move there. A line on standard output tells of each file.

    Args:
        raw: The pictures.
        names: The names of the preprocessings.
        folder: Where to write.
        eps: A constant of whitening; see `preprocess.Zca`.
        draw: See `Draw`.

    Raises:
        UserError: A name is not registered or not for images of this shape, there is no room, or a
            file cannot be written.
    """
    methods = {name: preprocessing[name] for name in names}
    require_sizes(methods, raw.shape)
    before = _order(folder)
    reordered = before is not None and before != _order_of(raw, folder)
    train, test = raw.train_images, raw.test_images
    mapped = raw.pictures is not None or raw.shape != CIFAR_SHAPE
    raw_folder = mapped and methods.pop(RAW, None) is not None
    store.require_space(folder, methods, len(train) + len(test))

    if reordered:
        # Until all is new, nothing must pair these labels with other images.
        (folder / store.LABEL_FILE).unlink()
    if raw_folder:
        _write_raw_folder(raw, folder, draw)
    # These arrays take most of the memory, so all preprocessings of one dtype share them.
    memory = {
        dtype: [np.empty((len(images), PIXELS), dtype) for images in (train, test)]
        for dtype in {method.dtype for method in methods.values()}
    }
    for name, method in methods.items():
        with _reported(folder / store.image_file(name)) as path:
            steps = 2 * len(train) + len(test)
            with progress_bar(name, steps) as bar:
                fitted = method.fit(train, eps, bar.update)
                train_out, test_out = memory[method.dtype]
                fitted(train, train_out, bar.update)
                fitted(test, test_out, bar.update)
            store.write_split(path, train_out, test_out)
        samples = _samples(train_out.reshape(-1, *CIFAR_SHAPE), raw)
        _write_beside(raw, fitted, samples, folder, draw)
    _write_labels(raw, folder)  # last: they say that all belongs together
    if reordered:
        written = {*map(store.image_file, methods), *([store.RAW_FOLDER] if raw_folder else [])}
        _tell_left(folder, written)


def _order(folder: pathlib.Path) -> object:
    """Say which picture is where in the images that are there; None if nobody knows."""
    try:
        labels = store.read_labels(folder / store.LABEL_FILE)
    except UserError:
        return None
    return _pictures_file(folder), {part: labels[part].tolist() for part in store.PARTS}


def _order_of(raw: RawImages, folder: pathlib.Path) -> object:
    """Say which picture is where in what is to be written; compare it with `_order`."""
    files = _pictures_file(folder)
    if raw.pictures is not None:
        files = picture_table.content(folder, raw.pictures.train, raw.pictures.test)
    labels = dict(zip(store.PARTS, (raw.train_labels, raw.test_labels), strict=True))
    return files, {part: labels[part].tolist() for part in store.PARTS}


def _pictures_file(folder: pathlib.Path) -> bytes:
    table = folder / store.PICTURES_FILE
    return table.read_bytes() if table.is_file() else b''


def _tell_left(folder: pathlib.Path, written: Container[str]) -> None:
    """Warn of images in a folder that were not written now."""
    for name in (*map(store.image_file, preprocessing), store.RAW_FOLDER):
        if name not in written and (folder / name).exists():
            # Mostly there are as many labels as before, so that nobody else would tell.
            tell(
                f'warning: {folder / name}: is of an earlier data set, and the new '
                f'{store.LABEL_FILE} does not belong to it; make it again, too, or delete it'
            )


def require_sizes(names: Iterable[str], shape: store.Shape) -> None:
    """Raise UserError if one of these preprocessings does not take images of this shape."""
    for name in names:
        if name != RAW and shape != CIFAR_SHAPE:
            raise UserError(
                f'{name}: takes images of {store.in_words(CIFAR_SHAPE)}, not '
                f'{store.in_words(shape)}; only {RAW} takes those'
            )


def _write_raw_folder(raw: RawImages, folder: pathlib.Path, draw: Draw) -> None:
    samples = _samples(raw.train_images, raw)
    with _reported(folder / store.RAW_FOLDER) as target:
        if raw.pictures is not None:
            move_folder(raw.pictures.folder, target)
        else:
            with store.temporary_folder(folder) as temporary:
                for part, images in (('train', raw.train_images), ('test', raw.test_images)):
                    np.save(temporary / f'{part}.npy', images)
                move_folder(temporary, target)
    _write_beside(raw, Raw(), samples, folder, draw)


def _write_labels(raw: RawImages, folder: pathlib.Path) -> None:
    """Write classes, which file became which image, and labels."""
    with _reported(folder / store.CLASSES_FILE) as path:
        store.write_class_names(path, raw.class_names)
    if raw.pictures is not None:
        with _reported(folder / store.PICTURES_FILE) as path:
            picture_table.write(path, raw.pictures.train, raw.pictures.test)
    more = {store.VALID: raw.valid, store.GROUP: raw.groups}
    with _reported(folder / store.LABEL_FILE) as path:
        store.write_split(path, raw.train_labels, raw.test_labels, **more)


def _write_beside(
    raw: RawImages, fitted: Preprocessing, samples: Array, folder: pathlib.Path, draw: Draw
) -> None:
    """Write what belongs to the images of a preprocessing: its statistics, and samples of them."""
    name = name_of(fitted)
    with _reported(folder / store.statistics_file(name)) as path:
        store.write_statistics(path, fitted, raw.pictures and raw.pictures.fit)
    with _reported(folder / store.sample_file(name)) as path:
        draw(samples, path)


def _samples(images: Array, raw: RawImages) -> Array:
    """Choose a few images: the first ones, or of the user's, which are in order, some of each."""
    area = images[0].size // len(images[0])
    count = max(1, min(SAMPLES, len(images), SHEET // area))
    if raw.pictures is None:
        return images[:count]
    return images[np.linspace(0, len(images) - 1, count).astype(int)]


@contextlib.contextmanager
def _reported(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Print the size of the file that the block writes, and its time; UserError if it fails."""
    start = time.perf_counter()
    with store.writing(path):
        yield path
    seconds = time.perf_counter() - start
    files = path.iterdir() if path.is_dir() else [path]
    size = sum(file.stat().st_size for file in files)
    print(f'{path}  {sized(size)}  {seconds:.1f} s', flush=True)
