"""Put pictures together into one, as arrays of pixels."""

import pathlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chainer_cifar.arrays import Array
from chainer_cifar.files import atomic_write

GAP = 2  # white pixels between tiles


def image_sheet(images: Array, path: str | pathlib.Path, columns: int = 10) -> None:
    """Write images ``(N, 3, 32, 32)`` of any real dtype as one PNG of tiles, `columns` in a row.

    Each image is scaled to its own range, so that whitened ones are visible, too.
    """
    with atomic_write(path) as file:
        Image.fromarray(tiled(own_range(images), columns)).save(file, 'PNG')


def own_range(images: Array) -> NDArray[np.uint8]:
    """Scale each of the images ``(N, C, H, W)``, of any real dtype, to 0 to 255."""
    images = np.asarray(images, np.float32)
    low = images.min(axis=(1, 2, 3), keepdims=True)
    spread = images.max(axis=(1, 2, 3), keepdims=True) - low
    return np.rint((images - low) * (255 / np.where(spread > 0, spread, 1))).astype(np.uint8)


def colours(images: Array) -> NDArray[np.uint8]:
    """Return images ``(N, 3, H, W)`` as bytes: unchanged if they are bytes, else in `own_range`."""
    return images if images.dtype == np.uint8 else own_range(images)


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
