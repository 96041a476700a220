"""Preprocess the pictures of a source and write them into a folder (see store.py)."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from tqdm import tqdm

from chainer_cifar.arrays import Array
from chainer_cifar.data import store
from chainer_cifar.data.preprocess import PIXELS, preprocessing
from chainer_cifar.data.sources import RawImages
from chainer_cifar.errors import UserError

SAMPLES = 100  # pictures of the training set to draw


def write(
    raw: RawImages,
    names: Iterable[str],
    folder: pathlib.Path,
    eps: float,
    draw: Callable[[Array, pathlib.Path], None],
) -> None:
    """Write label.pkl, classes.json, and for each preprocessing its images, statistics, samples.

    A line on standard output tells of each file.

    Args:
        raw: The pictures.
        names: The names of the preprocessings.
        folder: Where to write.
        eps: A constant of whitening; see `preprocess.Zca`.
        draw: Draws some preprocessed pictures, float32 or uint8 ``(N, 3, 32, 32)``, into a file.

    Raises:
        UserError: A name is not registered, there is no room, or a file cannot be written.
    """
    methods = {name: preprocessing[name] for name in names}
    train, test = raw.train_images, raw.test_images
    store.require_space(folder, methods, len(train) + len(test))

    with _reported(folder / store.LABEL_FILE) as path:
        store.write_split(path, raw.train_labels, raw.test_labels)
    with _reported(folder / store.CLASSES_FILE) as path:
        store.write_class_names(path, raw.class_names)

    # These arrays take most of the memory, so all preprocessings of one dtype share them.
    memory = {
        dtype: [np.empty((len(images), PIXELS), dtype) for images in (train, test)]
        for dtype in {method.dtype for method in methods.values()}
    }
    for name, method in methods.items():
        with _reported(folder / store.image_file(name)) as path:
            steps = 2 * len(train) + len(test)
            with tqdm(total=steps, desc=name, unit='image', leave=False, disable=None) as bar:
                fitted = method.fit(train, eps, bar.update)
                train_out, test_out = memory[method.dtype]
                fitted(train, train_out, bar.update)
                fitted(test, test_out, bar.update)
            store.write_split(path, train_out, test_out)
        with _reported(folder / store.statistics_file(name)) as path:
            store.write_statistics(path, name, fitted)
        with _reported(folder / store.sample_file(name)) as path:
            draw(train_out[:SAMPLES].reshape(-1, 3, 32, 32), path)


@contextlib.contextmanager
def _reported(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Print the size of the file that the block writes, and its time; UserError if it fails."""
    start = time.perf_counter()
    try:
        yield path
    except OSError as error:
        raise UserError(f'{path}: cannot be written: {error.strerror or error}') from None
    seconds = time.perf_counter() - start
    print(f'{path}  {path.stat().st_size / 1e6:.1f} MB  {seconds:.1f} s', flush=True)
