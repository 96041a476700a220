"""Find picture files of any kind and read them as 32x32 pictures, for which the nets are made."""

import os
import pathlib
import warnings
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from chainer_cifar import streams
from chainer_cifar.errors import UserError

SIZE = 32  # pixels

# What Pillow decodes by itself, whatever a file is called. Of EPS it has a picture made by
# Ghostscript, so that a file from an unknown hand is a program that runs; some others are mere
# names of formats that a plug-in may come to know.
FORMATS = (
    *('PNG', 'JPEG', 'MPO', 'GIF', 'BMP', 'DIB', 'TIFF', 'WEBP', 'AVIF', 'JPEG2000', 'PPM'),
    *('TGA', 'ICO', 'ICNS', 'PCX', 'PSD', 'DDS', 'SGI', 'QOI', 'XBM', 'XPM'),
)


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
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            found += [Found(picture, path) for picture in _pictures_below(path)]
        elif path.is_file():
            found.append(Found(path, None))
        else:
            raise UserError(f'{path}: no such picture file or folder')
    return found


def _pictures_below(folder: pathlib.Path) -> list[pathlib.Path]:
    formats = _formats()
    endings = {end for end, kind in Image.registered_extensions().items() if kind in formats}
    files: list[pathlib.Path] = []
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith('.')]
        files += [pathlib.Path(where, name) for name in names if not name.startswith('.')]
    files = sorted(path for path in files if path.suffix.lower() in endings and path.is_file())
    if not files:
        raise UserError(f'{folder}: no picture in this folder or below it')
    return files


def _formats() -> list[str]:
    """Those of `FORMATS` that this version of Pillow knows."""
    Image.init()  # before that Pillow does not know all of them
    return [name for name in FORMATS if name in Image.OPEN]


def _raise(error: OSError) -> NoReturn:
    raise error


def read(path: pathlib.Path) -> NDArray[np.uint8]:
    """Read a picture, ``(3, 32, 32)``.

    It is turned upright as its EXIF data say. Transparent parts become white, and 16-bit values
    become 8-bit ones. An animation is its first frame. The largest square in the middle is resized
    to 32x32 with Pillow's Lanczos filter, which smooths what it makes smaller.

    Raises:
        UserError: The file is no picture in one of `FORMATS`, is damaged, or has more than 89
            megapixels (Pillow's limit).
    """
    try:
        with warnings.catch_warnings(), streams.silence():
            warnings.simplefilter('ignore')  # Pillow's, about odd files
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            with Image.open(path, formats=_formats()) as file:
                image = _in_rgb(ImageOps.exif_transpose(file))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise UserError(
            f'{path}: has more than {limit:.0f} megapixels; make it smaller first'
        ) from None
    except Exception as error:  # a damaged picture raises a dozen kinds of errors
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'{path}: cannot be read as a picture ({text})') from None
    return np.asarray(_square(image)).transpose(2, 0, 1)


def _in_rgb(image: Image.Image) -> Image.Image:
    if image.mode == 'F':
        raise ValueError('its values are fractions')
    if image.mode.startswith('I'):  # 16 bits a pixel; older versions of Pillow take 32 for them
        values = np.asarray(image).astype(np.float32) / 257
        return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8)).convert('RGB')
    if image.has_transparency_data:
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, 'white')
        return Image.alpha_composite(white, image).convert('RGB')
    return image.convert('RGB')


def _square(image: Image.Image) -> Image.Image:
    if image.size == (SIZE, SIZE):
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=box)
