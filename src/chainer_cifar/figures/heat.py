"""Lay heat maps over pictures."""

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

STRENGTH = 0.55  # of the colours; the rest is the picture, in grey


def overlaid(picture: NDArray[np.uint8], heat: NDArray[np.float32], zoom: int) -> NDArray[np.uint8]:
    """Draw a heat map over a picture.

    Args:
        picture: uint8 ``(3, H, W)``.
        heat: From 0 to 1, ``(h, w)`` of any size, which is enlarged smoothly.
        zoom: Pixels, across and down, for each pixel of the picture.

    Returns:
        uint8 ``(zoom x H, zoom x W, 3)``.
    """
    large = picture.repeat(zoom, axis=1).repeat(zoom, axis=2).transpose(1, 2, 0)
    height, width = large.shape[:2]
    smooth = Image.fromarray(heat.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    values = np.asarray(smooth).clip(0, 1)
    colours = colormaps['turbo'](values)[..., :3] * 255
    grey = large @ np.array([0.299, 0.587, 0.114])
    mixed = STRENGTH * colours + (1 - STRENGTH) * grey[..., None]
    return np.rint(mixed).astype(np.uint8)
