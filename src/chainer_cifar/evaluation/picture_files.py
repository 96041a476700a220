"""Picture files of any kind as the 32x32 pictures that the nets are made for."""

import os
import pathlib
import warnings
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from chainer_cifar import streams
from chainer_cifar.errors import UserError

SIZE = 32

# What Pillow decodes by itself, whatever a file is called. Of EPS it has a picture made by
# Ghostscript, so that a file from an unknown hand is a program that runs; some others are mere
# names of formats that a plug-in may come to know.
FORMATS = (
    *('PNG', 'JPEG', 'MPO', 'GIF', 'BMP', 'DIB', 'TIFF', 'WEBP', 'AVIF', 'JPEG2000', 'PPM'),
    *('TGA', 'ICO', 'ICNS', 'PCX', 'PSD', 'DDS', 'SGI', 'QOI', 'XBM', 'XPM'),
)


class Found(NamedTuple):
    """A picture file, and the folder it was searched in; None if it was given by itself."""

    path: pathlib.Path
    folder: pathlib.Path | None

    @property
    def short(self):
        """The file name, with the folders between it and the one that was searched."""
        return self.path.name if self.folder is None else str(self.path.relative_to(self.folder))


def find(paths):
    """The files that `paths` name: a folder stands for the pictures in and below it, sorted.

    Hidden files and folders are left out; links to folders are not followed.

    Returns:
        list of Found

    Raises:
        UserError: No such file, or a folder without pictures.
        OSError: A folder cannot be read.
    """
    found = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            found += [Found(picture, path) for picture in _pictures_below(path)]
        elif path.is_file():
            found.append(Found(path, None))
        else:
            raise UserError(f'{path}: no such picture file or folder')
    return found


def _pictures_below(folder):
    formats = _formats()
    endings = {end for end, kind in Image.registered_extensions().items() if kind in formats}
    files = []
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith('.')]
        files += [pathlib.Path(where, name) for name in names if not name.startswith('.')]
    files = sorted(path for path in files if path.suffix.lower() in endings and path.is_file())
    if not files:
        raise UserError(f'{folder}: no picture in this folder or below it')
    return files


def _formats():
    """Those of `FORMATS` that this version of Pillow knows."""
    Image.init()  # or it does not know all yet
    return [name for name in FORMATS if name in Image.OPEN]


def _raise(error):
    raise error


def read(path):
    """One picture, uint8 ``(3, 32, 32)``.

    Turned upright as its EXIF data say; transparent parts become white, 16-bit values 8-bit ones;
    of an animation the first frame counts. The largest square in the middle is resized to 32x32
    with Pillow's Lanczos filter, which smooths what it makes smaller.

    Raises:
        UserError: Not a picture of one of `FORMATS`, damaged, or of more than Pillow's limit of 89
            megapixels.
    """
    try:
        with warnings.catch_warnings(), streams.silence():
            warnings.simplefilter('ignore')  # of what Pillow makes of odd files
            warnings.simplefilter('error', Image.DecompressionBombWarning)
            with Image.open(path, formats=_formats()) as image:
                image = _in_rgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        limit = Image.MAX_IMAGE_PIXELS / 1e6
        raise UserError(
            f'{path}: has more than {limit:.0f} megapixels; make it smaller first'
        ) from None
    except Exception as error:  # a damaged picture raises a dozen kinds
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'{path}: cannot be read as a picture ({text})') from None
    return np.asarray(_square(image)).transpose(2, 0, 1)


def _in_rgb(image):
    if image.mode == 'F':
        raise ValueError('its values are fractions')
    if image.mode.startswith('I'):  # 16 bits a pixel, in older versions of Pillow in 32
        values = np.asarray(image).astype(np.float32) / 257
        return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8)).convert('RGB')
    if image.has_transparency_data:
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, 'white')
        return Image.alpha_composite(white, image).convert('RGB')
    return image.convert('RGB')


def _square(image):
    if image.size == (SIZE, SIZE):
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS, box=box)
