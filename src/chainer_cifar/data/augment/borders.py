"""What lies beyond the border of an image: SciPy's modes, by SciPy's names.

nearest   aaaa|abcd|dddd
constant  kkkk|abcd|kkkk
reflect   dcba|abcd|dcba   (NumPy's symmetric; Keras' reflect)
mirror     dcb|abcd|cba    (NumPy's, PyTorch's reflect)
wrap       abc|abcd|bcd    (the opposite borders lie on each other)
"""

from chainer_cifar.checks import require_number, require_word

FILLS = ('nearest', 'constant', 'reflect', 'mirror', 'wrap')


def require_fill(fill, value):
    """ValueError unless `fill` is one of `FILLS` and `value`, for constant, a finite number."""
    require_word('fill', fill, FILLS)
    require_number('value', value, -1e6, 1e6)


def fold(xp, position, size, fill):
    """Where in the image the value of a position beyond it is found.

    Args:
        xp: NumPy or CuPy.
        position: Pixels from the first of `size`, at least 2, pixels; float32.
        fill: One of `FILLS`. With constant the result means something inside only.

    Returns:
        array: From 0 to size - 1, float32.
    """
    last = size - 1
    if fill == 'wrap':
        beyond = (position < 0) | (position > last)
        position = xp.where(beyond, position - last * xp.floor(position / last), position)
    elif fill in ('reflect', 'mirror'):
        # A triangle wave; the mirror stands half a pixel outside, or on the outermost pixel.
        outside = 0.5 if fill == 'reflect' else 0
        half = last + 2 * outside
        position = position + outside
        position = position - 2 * half * xp.floor(position / (2 * half))
        position = half - xp.abs(half - position) - outside
    return xp.clip(position, 0, last)
