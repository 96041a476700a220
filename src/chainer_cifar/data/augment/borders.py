"""Continue an image beyond its border: SciPy's modes, by SciPy's names.

nearest   aaaa|abcd|dddd
constant  kkkk|abcd|kkkk
reflect   dcba|abcd|dcba   (NumPy's symmetric; Keras' reflect)
mirror     dcb|abcd|cba    (NumPy's and PyTorch's reflect)
wrap       abc|abcd|bcd    (opposite borders lie on each other)
"""

from chainer_cifar.arrays import Array, ArrayModule
from chainer_cifar.checks import require_number, require_word

FILLS = ('nearest', 'constant', 'reflect', 'mirror', 'wrap')
BETWEEN_PIXELS = ('mirror', 'wrap')  # count steps between pixels, and one pixel has none


def require_fill(fill: object, value: object) -> None:
    """Raise ValueError unless `fill` is one of `FILLS` and `value` a finite number."""
    require_word('fill', fill, FILLS)
    require_number('value', value, -1e6, 1e6)


def fold(xp: ArrayModule, position: Array, size: int, fill: str) -> Array:
    """Find the place in the image that has the value for a position beyond it.

    Args:
        xp: The array module of `position`.
        position: Distance from the first pixel, float32.
        size: Number of pixels, at least 2.
        fill: One of `FILLS`. For constant the result has a meaning only inside the image.

    Returns:
        From 0 to size - 1, float32, of the same shape.
    """
    last = size - 1
    if fill == 'wrap':
        beyond = (position < 0) | (position > last)
        position = xp.where(beyond, position - last * xp.floor(position / last), position)
    elif fill in ('reflect', 'mirror'):
        # A triangle wave. The mirror is half a pixel outside, or on the outermost pixel.
        outside = 0.5 if fill == 'reflect' else 0
        half = last + 2 * outside
        position = position + outside
        position = position - 2 * half * xp.floor(position / (2 * half))
        position = half - xp.abs(half - position) - outside
    return xp.clip(position, 0, last)
