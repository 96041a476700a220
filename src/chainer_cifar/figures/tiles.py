"""Put pictures together into one, as arrays of pixels."""

import pathlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chainer_cifar.arrays import Array
from chainer_cifar.files import atomic_write

GAP = 2  # white pixels between tiles
SIDE = 128  # pixels of an image on a sheet, at most


def image_sheet(images: Array, path: str | pathlib.Path, columns: int = 10) -> None:
    """Write images ``(N, C, H, W)`` of any real dtype as one PNG of tiles, `columns` in a row.

    Each image is scaled to its own range, so that whitened ones are visible, too. Large ones become
    smaller, so that the whole can be looked at.
    """
    images = shrunk(own_range(images), SIDE)
    with atomic_write(path) as file:
        Image.fromarray(tiled(images, columns)).save(file, 'PNG')


def own_range(images: Array) -> NDArray[np.uint8]:
    """Scale each of the images ``(N, C, H, W)``, of any real dtype, to 0 to 255."""
    images = np.asarray(images, np.float32)
    low = images.min(axis=(1, 2, 3), keepdims=True)
    spread = images.max(axis=(1, 2, 3), keepdims=True) - low
    return np.rint((images - low) * (255 / np.where(spread > 0, spread, 1))).astype(np.uint8)


def colours(images: Array) -> NDArray[np.uint8]:
    """Return images ``(N, C, H, W)`` as bytes in colour, ``(N, 3, H, W)``.

    Bytes stay what they are; other values are scaled as by `own_range`.
    """
    images = images if images.dtype == np.uint8 else own_range(images)
    return images.repeat(3, axis=1) if images.shape[1] == 1 else images


def resized(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Make images ``(N, C, H, W)`` `side` pixels high or wide at most, and about so large.

    Small ones become larger by a whole factor, so that their pixels show as squares.
    """
    zoom = max(1, side // max(images.shape[2:]))
    return shrunk(images.repeat(zoom, axis=2).repeat(zoom, axis=3), side)


def shrunk(images: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Make images ``(N, C, H, W)`` that are larger `side` pixels high or wide; leave others."""
    height, width = images.shape[2:]
    if max(height, width) <= side:
        return images
    size = [max(1, round(length * side / max(height, width))) for length in (width, height)]
    planes = images.reshape(-1, height, width)
    resample = Image.Resampling.LANCZOS
    smaller = [np.asarray(Image.fromarray(plane).resize(size, resample)) for plane in planes]
    return np.stack(smaller).reshape(*images.shape[:2], size[1], size[0])


def tiled(images: NDArray[np.uint8], columns: int, zoom: int = 1) -> NDArray[np.uint8]:
    """Put images as tiles on white.

    Args:
        images: ``(N, C, H, W)``; C is 3, or 1 for grey.
        columns: Tiles in a row.
        zoom: Pixels, across and down, for each pixel of an image.

    Returns:
        One picture ``(H', W', 3)``.
    """
    images = images.repeat(zoom, axis=2).repeat(zoom, axis=3)
    count, _, height, width = images.shape
    rows = -(-count // columns)
    shape = (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3)
    sheet = np.full(shape, 255, np.uint8)
    for i, image in enumerate(images):
        top = GAP + i // columns * (height + GAP)
        left = GAP + i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return sheet
