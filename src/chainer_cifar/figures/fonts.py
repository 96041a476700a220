"""Text that can be drawn: of letters that Matplotlib's font lacks, another font has them, or none.

Matplotlib comes with DejaVu Sans, which has no Chinese, Japanese or Korean letters. It would draw a
box for each, and print two lines about it.
"""

import functools
import unicodedata

import matplotlib
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

from chainer_cifar.streams import printable, tell

# Instead of what no font has.
_BLANK = '?'

_told: list[str] = []


def drawable(text: object) -> str:
    """`text` as one line that Matplotlib can draw.

    Where its font lacks a letter, the first other font that has it is added to those in use, which
    texts take when they are made. Where none has it, it becomes a question mark, and one line tells
    so, once.
    """
    text = printable(text)
    lacking = {letter for letter in text if not _is_known(letter)}
    for letter in sorted(lacking):
        family = _family_with(letter)
        if family:
            families = matplotlib.rcParams['font.family']
            if family not in families:
                matplotlib.rcParams['font.family'] = [*families, family]
        else:
            text = text.replace(letter, _BLANK)
            if not _told:
                _told.append(letter)
                tell(
                    f"warning: no font here has the letter '{letter}': in pictures it is drawn as "
                    f"'{_BLANK}', and so are others; install one, such as Noto Sans CJK"
                )
    return text


def letters(text: str) -> float:
    """How many letters of usual width are as wide as `text`; Chinese ones are wider."""
    return sum(5 / 3 if unicodedata.east_asian_width(letter) in 'WF' else 1 for letter in text)


def _is_known(letter: str) -> bool:
    return ord(letter) in _letters_of(font_manager.findfont(FontProperties()))


@functools.cache
def _letters_of(path: str) -> frozenset[int]:
    """The numbers of the letters in a font file; none if it cannot be read."""
    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@functools.cache
def _family_with(letter: str) -> str | None:
    """The name of a font that has `letter`, or None."""
    for font in font_manager.fontManager.ttflist:
        # Last Resort has a box for every letter there is.
        if not font.name.startswith('Last Resort') and ord(letter) in _letters_of(font.fname):
            return font.name
    return None
