"""Pictures made of pictures, as arrays of pixels."""

import numpy as np
from PIL import Image

from chainer_cifar.files import atomic_write

GAP = 2  # white pixels between tiles


def image_sheet(images, path, columns=10):
    """Write `images` (N, 3, 32, 32), of any real dtype, as one PNG of tiles, `columns` wide.

    Each image is scaled to its own range, so that whitened ones can be seen.
    """
    with atomic_write(path) as file:
        Image.fromarray(tiled(own_range(images), columns)).save(file, 'PNG')


def own_range(images):
    """Real images (N, C, H, W), each scaled to 0 to 255; uint8."""
    images = np.asarray(images, np.float32)
    low = images.min(axis=(1, 2, 3), keepdims=True)
    spread = images.max(axis=(1, 2, 3), keepdims=True) - low
    return np.rint((images - low) * (255 / np.where(spread > 0, spread, 1))).astype(np.uint8)


def colours(images):
    """What can be shown of images (N, 3, H, W): bytes as they are, others in their `own_range`."""
    return images if images.dtype == np.uint8 else own_range(images)


def tiled(images, columns, zoom=1):
    """One picture, uint8 (H', W', 3), of tiles on white.

    Args:
        images: uint8 ``(N, C, H, W)``; C is 3, or 1 for grey.
        columns: Tiles in a row.
        zoom: Pixels for a pixel.
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
