"""Decode picture files in parallel into arrays on disk, which are mapped into memory."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.data import listing, picture, store, threads
from chainer_cifar.data.listing import TEST, TRAIN, VALID, Listing
from chainer_cifar.data.sources import Pictures, RawImages
from chainer_cifar.data.store import Shape
from chainer_cifar.errors import UserError
from chainer_cifar.streams import tell

WINDOW = 32 * 2**20  # bytes of images that may wait to be written


@contextlib.contextmanager
def decode(
    pictures: Listing, folder: pathlib.Path, shape: Shape, fit: str, jobs: int | None = None
) -> Iterator[RawImages]:
    """Decode pictures into files in `folder`, where `prepare.write` can take them.

    The files are removed when the block ends, unless they were taken. Unreadable pictures are
    passed over, with a line that says how many, and which is the first. A bar shows the progress.

    Args:
        pictures: What to decode; see `listing.split`.
        folder: On a disk with room for all; made if missing.
        shape: Of the images, ``(C, H, W)``.
        fit: See `picture.read`.
        jobs: How many to decode at a time; None: as many as there are CPUs.

    Raises:
        UserError: There is no room, no picture can be read, or of a class too few.
    """
    size = int(np.prod(shape))
    store.require_bytes(folder, len(pictures) * size, 'smaller images with --size')
    rows = {
        'train': pictures.at(pictures.places(TRAIN, VALID)),
        'test': pictures.at(pictures.places(TEST)),
    }
    problems: list[str] = []

    def read(path: pathlib.Path) -> NDArray[np.uint8] | UserError:
        try:
            return picture.read(path, shape, fit)
        except UserError as error:
            return error

    with store.temporary_folder(folder) as temporary:
        for part, files in rows.items():
            target = temporary / f'{part}.npy'
            with store.writing(target), open(target, 'wb') as file:
                readable, failed = _write(file, files.paths, shape, read, part, jobs)
            problems += failed
            rows[part] = files.at(readable)
        if problems:
            tell(
                f'warning: passed over {len(problems)} of {len(pictures)} pictures, the first: '
                f'{problems[0]}'
            )
        if not len(rows['train']) or not len(rows['test']):
            raise UserError(f'{pictures.name}: none of its pictures for train or test can be read')
        if problems:
            listing.require_enough(rows['train'])
        found = store.map_images(temporary)
        yield _raw(rows['train'], rows['test'], found, temporary, fit)


def _raw(
    train: Listing,
    test: Listing,
    images: dict[str, NDArray[np.uint8]],
    folder: pathlib.Path,
    fit: str,
) -> RawImages:
    chosen = train.places(VALID)
    return RawImages(
        images['train'],
        train.labels,
        images['test'],
        test.labels,
        train.class_names,
        valid=chosen.astype(np.int32) if len(chosen) else None,
        groups=listing.numbered(train.groups.tolist()),
        pictures=Pictures(folder, fit, train, test),
    )


def _write(
    file: BinaryIO,
    paths: Sequence[pathlib.Path],
    shape: Shape,
    read: Callable[[pathlib.Path], NDArray[np.uint8] | UserError],
    name: str,
    jobs: int | None,
) -> tuple[NDArray[np.intp], list[str]]:
    """Write the readable pictures as an npy file; return their places, and why others are not."""
    size = int(np.prod(shape))
    readable: list[int] = []
    problems: list[str] = []
    start = _write_header(file, len(paths), shape)
    # The threads would decode all while the first are being written.
    ahead = max(64, WINDOW // size)
    with contextlib.closing(threads.results(read, paths, name, jobs, ahead, leave=True)) as images:
        for place, image in enumerate(images):
            if isinstance(image, UserError):
                problems.append(str(image))
            else:
                file.write(np.ascontiguousarray(image).data)
                readable.append(place)
    file.seek(0)
    if _write_header(file, len(readable), shape) != start:  # NumPy leaves room for the number
        raise ValueError('NumPy wrote a header of another size')
    return np.array(readable, np.intp), problems


def _write_header(file: BinaryIO, count: int, shape: Shape) -> int:
    header = {'descr': '|u1', 'fortran_order': False, 'shape': (count, *shape)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()
