"""Operations on the colours of a whole batch, each as one of Pillow's on an image.

Images are float32 ``(N, C, H, W)``, black 0 and white 255; `xp` is their array module. A new array
is returned, with values of 0 to 255.
"""

import numpy as np

from chainer_cifar.arrays import Array, ArrayModule

# What red, green and blue give to the lightness (ITU-R 601-2, Pillow's mode L).
GREY = np.array([0.299, 0.587, 0.114])

# The colour of a pixel as lightness, and two numbers of which a turn of hue is a rotation (YIQ).
_YIQ = np.array([GREY, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_RGB = np.linalg.inv(_YIQ)


def recolour(
    xp: ArrayModule,
    x: Array,
    brightness: Array,
    contrast: Array,
    saturation: Array,
    hue: Array | None = None,
) -> Array:
    """Pillow's enhancements Brightness, Contrast and Color, in this order, then a turn of hue.

    All are linear, and so one matrix a pixel; values are cut off at the end only.

    Args:
        brightness, contrast, saturation: Factors ``(N,)``, float32: 0 gives black, the mean
            grey, and grey; 1 changes nothing.
        hue: Angles in turns ``(N,)``, float32, at constant lightness (in YIQ).
    """
    if x.shape[1] == 1:  # what changes saturation or hue, leaves grey as it is
        factor = (brightness * contrast)[:, None, None, None]
        mean = x.mean(axis=(2, 3), keepdims=True)
        added = ((1 - contrast) * brightness)[:, None, None, None] * mean
        return xp.clip(factor * x + added, 0, 255)
    grey = xp.asarray(GREY.astype(np.float32))
    one = xp.asarray(np.eye(3, dtype=np.float32))
    saturation = saturation[:, None, None]
    matrix = saturation * one + (1 - saturation) * grey
    if hue is not None:
        matrix = xp.matmul(_turns(xp, hue), matrix)
    mean = x.mean(axis=(2, 3))
    grey_mean = (mean * grey).sum(axis=1)
    matrix = matrix * (brightness * contrast)[:, None, None]
    result = xp.matmul(matrix, x.reshape(len(x), 3, -1))
    # Of grey the matrices make the same grey, so what contrast adds may be added last.
    result += ((1 - contrast) * brightness * grey_mean)[:, None, None]
    return xp.clip(result, 0, 255).reshape(x.shape)


def _turns(xp: ArrayModule, hue: Array) -> Array:
    """Matrices ``(N, 3, 3)`` that turn the hue of a colour (red, green, blue)."""
    stay, cosine, sine = (
        xp.asarray((_RGB @ np.array(part) @ _YIQ).astype(np.float32))
        for part in (
            [[1, 0, 0], [0, 0, 0], [0, 0, 0]],
            [[0, 0, 0], [0, 1, 0], [0, 0, 1]],
            [[0, 0, 0], [0, 0, -1], [0, 1, 0]],
        )
    )
    angle = (2 * np.pi * hue)[:, None, None]
    return stay + xp.cos(angle) * cosine + xp.sin(angle) * sine


def sharpen(xp: ArrayModule, x: Array, factor: Array) -> Array:
    """Pillow's Sharpness: factors ``(N,)``; 0 gives the image smoothed, 1 changes nothing."""
    inner = x[:, :, 1:-1, 1:-1]
    rows = x[:, :, :, :-2] + x[:, :, :, 1:-1] + x[:, :, :, 2:]
    smooth = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * inner) / 13
    result = x.copy()  # the outermost pixels stay
    result[:, :, 1:-1, 1:-1] = smooth + factor[:, None, None, None] * (inner - smooth)
    return xp.clip(result, 0, 255)


def posterize(xp: ArrayModule, x: Array, bits: Array) -> Array:
    """Pillow's posterize: keep the upper `bits`, float32 ``(N,)``, of each byte."""
    step = xp.exp2(8 - bits)[:, None, None, None]
    return xp.floor(_bytes(xp, x) / step) * step


def solarize(xp: ArrayModule, x: Array, threshold: Array) -> Array:
    """Pillow's solarize: the negative of all values from a threshold, float32 ``(N,)``, up."""
    x = xp.clip(x, 0, 255)
    return xp.where(x < threshold[:, None, None, None], x, 255 - x)


def autocontrast(xp: ArrayModule, x: Array) -> Array:
    """Pillow's autocontrast: stretch each channel to 0 to 255."""
    x = xp.clip(x, 0, 255)
    low, high = x.min(axis=(2, 3), keepdims=True), x.max(axis=(2, 3), keepdims=True)
    flat = high <= low
    stretched = (x - low) * (255 / (high - low + flat))
    return xp.where(flat, x, stretched)


def equalize(xp: ArrayModule, x: Array) -> Array:
    """Pillow's equalize: each value of a channel becomes about as frequent as any other."""
    n, c, h, w = x.shape
    values = _bytes(xp, x).astype(np.intp).reshape(n * c, h * w)
    first = 256 * xp.arange(n * c)[:, None]  # of each channel's numbers in one row of all
    largest = first + values.max(axis=1)[:, None]
    values += first
    # CuPy's bincount would look for the least and the largest value, which makes the GPU wait.
    counts = xp.zeros(256 * n * c, np.int32)  # CuPy's add.at takes no int64
    xp.add.at(counts, values.reshape(-1), xp.ones((), np.int32))
    step = (h * w - counts[largest]) // 255
    counts = counts.reshape(n * c, 256)
    below = counts.cumsum(axis=1) - counts
    table = (below + step // 2) // xp.where(step == 0, 1, step)
    # Where all pixels but a few share one value, there is nothing to equalize.
    table = xp.where(step == 0, xp.arange(256), xp.clip(table, 0, 255)).astype(np.float32)
    return table.reshape(-1).take(values).reshape(x.shape)


def _bytes(xp: ArrayModule, x: Array) -> Array:
    """Values rounded to whole numbers of 0 to 255."""
    return xp.clip(xp.rint(x), 0, 255)
