"""Read a picture file of any kind as an image of a given shape, for training and prediction."""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from chainer_cifar.data.store import CIFAR_SHAPE, CROP, Shape
from chainer_cifar.errors import UserError, first_line
from chainer_cifar.files import require_no_pipe

# What Pillow decodes by itself, whatever a file is called. Of EPS it has a picture made by
# Ghostscript, so that a file from an unknown hand is a program that runs; some others are mere
# names of formats that a plug-in may come to know.
FORMATS = (
    *('PNG', 'JPEG', 'MPO', 'GIF', 'BMP', 'DIB', 'TIFF', 'WEBP', 'AVIF', 'JPEG2000', 'PPM'),
    *('TGA', 'ICO', 'ICNS', 'PCX', 'PSD', 'DDS', 'SGI', 'QOI', 'XBM', 'XPM'),
)

# Shrink a large picture by a whole factor first, to no less than this many times the size wanted.
# Pillow's documentation calls the result close to that of shrinking it at once.
GAP = 3.0
PAD = 128  # grey, so that a border has little contrast with any picture


_TURN = Image.Transpose
_TURNS = {
    2: _TURN.FLIP_LEFT_RIGHT,
    3: _TURN.ROTATE_180,
    4: _TURN.FLIP_TOP_BOTTOM,
    5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_270,
    7: _TURN.TRANSVERSE,
    8: _TURN.ROTATE_90,
}  # of the orientations of EXIF


class Content(io.BytesIO):
    """The bytes of a picture file, and a name for them, which errors tell as they do a path."""

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self._name = name

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:  # Pillow's errors show it
        return repr(self._name)


def formats() -> list[str]:
    """Return those of `FORMATS` that this version of Pillow knows."""
    Image.init()  # before that Pillow does not know all
    return [name for name in FORMATS if name in Image.OPEN]


def endings() -> frozenset[str]:
    """Return how the names of picture files end, such as ``.jpg``."""
    known = formats()
    return frozenset(end for end, kind in Image.registered_extensions().items() if kind in known)


class TooLarge(ValueError):
    """A picture has more pixels than Pillow's limit, 89 million."""


@contextlib.contextmanager
def opened(path: str | os.PathLike[str] | BinaryIO) -> Iterator[Image.Image]:
    """Open a picture file of one of `FORMATS`, whose pixels are decoded when they are needed.

    Raises:
        TooLarge: It has too many of them.
        Exception: It is no such file, or is damaged; Pillow raises a dozen kinds of errors.
    """
    most = Image.MAX_IMAGE_PIXELS or np.inf
    try:
        with Image.open(path, formats=formats()) as file:
            if file.width * file.height > most:
                raise Image.DecompressionBombError
            yield file
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise TooLarge(f'has more than {most / 1e6:.0f} megapixels') from None


def read(
    path: str | os.PathLike[str] | BinaryIO, shape: Shape = CIFAR_SHAPE, fit: str = CROP
) -> NDArray[np.uint8]:
    """Read a picture as an image ``(C, H, W)`` of the given shape.

    It is turned upright as its EXIF data say. Transparent parts become white, and 16-bit values
    become 8-bit ones. An animation is its first frame. Pillow's Lanczos filter smooths what it
    makes smaller.

    Several threads may do it at a time. Then they cannot silence what Pillow warns of and what C
    libraries write; see `streams.silence`.

    Args:
        path: The file, or its open content.
        shape: C is 3, or 1 for grey.
        fit: How it gets the proportions of `shape`: crop takes the largest part in the middle, pad
            adds a grey border, squash stretches it.

    Raises:
        UserError: The file is no picture of one of `FORMATS`, is damaged, or has more than 89
            megapixels (Pillow's limit).
    """
    _, height, width = shape
    with _told_as(str(path)):
        if not hasattr(path, 'read'):
            require_no_pipe(path)
        with opened(path) as file:
            if min(file.size) >= 2 * GAP * max(width, height):
                # A JPEG file is decoded at a half, a quarter or an eighth of its size.
                file.draft(None, (round(GAP * width), round(GAP * height)))
            return _read(file, shape, fit)


def from_image(
    image: Image.Image, shape: Shape = CIFAR_SHAPE, fit: str = CROP
) -> NDArray[np.uint8]:
    """Do to an image of Pillow what `read` does to a file.

    Raises:
        UserError: Its file is damaged, or nobody knows what its values mean.
    """
    with _told_as(repr(image)):
        return _read(image, shape, fit)


@contextlib.contextmanager
def _told_as(name: str) -> Iterator[None]:
    try:
        yield
    except TooLarge as error:
        raise UserError(f'{name}: {error}; make it smaller first') from None
    except MemoryError:
        raise UserError(f'{name}: takes more memory than there is; make it smaller first') from None
    except Exception as error:  # a damaged picture raises a dozen kinds of errors
        raise UserError(f'{name}: cannot be read as a picture ({first_line(error)})') from None


def _read(file: Image.Image, shape: Shape, fit: str) -> NDArray[np.uint8]:
    channels, height, width = shape
    image = on_white(eight_bits(upright(file)))
    image = _fitted(image, (width, height), fit)
    if channels == 1:
        return np.asarray(image.convert('L'))[None]
    return np.asarray(image).transpose(2, 0, 1)


def upright(image: Image.Image) -> Image.Image:
    """Turn an image as its EXIF data say.

    ImageOps.exif_transpose would also write these anew, and fails at values of an odd type.
    """
    image.load()  # some kinds of files are turned by Pillow itself
    try:
        turn = _TURNS.get(int(image.getexif().get(ExifTags.Base.Orientation, 1)))
    except Exception:  # what nobody can read says nothing
        turn = None
    return image if turn is None else image.transpose(turn)


def eight_bits(image: Image.Image) -> Image.Image:
    """Bring an image to L, RGB or RGBA.

    Raises:
        ValueError: Its values are fractions, of which nobody knows what is white.
    """
    if image.mode == 'F':
        raise ValueError('its values are fractions')
    if image.mode.startswith('I'):  # 16 bits a pixel; older versions of Pillow take 32 for them
        values = np.asarray(image).astype(np.float32) / 257
        return Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        return image.convert('RGBA')
    return image if image.mode in ('L', 'RGB') else image.convert('RGB')


def on_white(image: Image.Image) -> Image.Image:
    """Bring L, RGB or RGBA to RGB; transparent parts become white."""
    if image.mode == 'RGBA':
        image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
    return image.convert('RGB')


def _fitted(image: Image.Image, size: tuple[int, int], fit: str) -> Image.Image:
    if image.size == size:
        return image
    scales = image.width / size[0], image.height / size[1]
    if fit == CROP:
        width, height = (min(size[i] * min(scales), image.size[i]) for i in (0, 1))
        left, top = (image.width - width) / 2, (image.height - height) / 2
        return _resized(image, size, (left, top, left + width, top + height))
    if fit == 'pad':
        inner = [max(1, round(length / max(scales))) for length in image.size]
        canvas = Image.new('RGB', size, (PAD, PAD, PAD))
        corner = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
        canvas.paste(_resized(image, (inner[0], inner[1])), corner)
        return canvas
    return _resized(image, size)


def _resized(
    image: Image.Image,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Image.Image:
    return image.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=GAP)
