"""Find picture files of any kind, and read them as the images that a net takes."""

import os
import pathlib
import warnings
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import streams
from chainer_cifar.data import picture
from chainer_cifar.data.store import CIFAR_SHAPE, CROP, Shape
from chainer_cifar.errors import UserError


class Found(NamedTuple):
    """A picture file, and the folder that was searched for it; None if the user named the file."""

    path: pathlib.Path
    folder: pathlib.Path | None

    @property
    def short(self) -> str:
        """The path from the folder that was searched, or the file name alone."""
        return self.path.name if self.folder is None else str(self.path.relative_to(self.folder))


def find(paths: Iterable[str | os.PathLike[str]]) -> list[Found]:
    """Find the files that `paths` name; a folder means the pictures in it and below it, sorted.

    Hidden files and folders do not count, nor do links to folders.

    Raises:
        UserError: There is no such file, or a folder holds no picture.
        OSError: A folder cannot be read.
    """
    found: list[Found] = []
    for path in map(pathlib.Path, map(_named, paths)):
        if path.is_dir():
            found += [Found(picture, path) for picture in _pictures_below(path)]
        elif path.is_file():
            found.append(Found(path, None))
        else:
            raise UserError(f'{path}: no such picture file or folder')
    return found


def _named(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    if not path:  # as of a variable that is not set; it would mean the current folder
        raise UserError("'': names no picture file or folder")
    return path


def _pictures_below(folder: pathlib.Path) -> list[pathlib.Path]:
    endings = picture.endings()
    files: list[pathlib.Path] = []
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith('.')]
        files += [pathlib.Path(where, name) for name in names if not name.startswith('.')]
    files = sorted(path for path in files if path.suffix.lower() in endings and path.is_file())
    if not files:
        raise UserError(f'{folder}: no picture in this folder or below it')
    return files


def _raise(error: OSError) -> NoReturn:
    raise error


def read(
    path: pathlib.Path | picture.Content, shape: Shape = CIFAR_SHAPE, fit: str = CROP
) -> NDArray[np.uint8]:
    """Read a picture as an image ``(C, H, W)``; see `picture.read`. Warnings are not shown.

    Raises:
        UserError: The file is no picture, is damaged, or far too large.
    """
    with warnings.catch_warnings(), streams.silence():
        warnings.simplefilter('ignore')  # Pillow's, about odd files
        return picture.read(path, shape, fit)
