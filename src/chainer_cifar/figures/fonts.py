"""Make a text drawable: find other fonts for the letters that Matplotlib's font lacks.

Matplotlib comes with DejaVu Sans, which has no Chinese, Japanese or Korean letters. It would draw a
box for each, and print two lines about it.
"""

import functools

import matplotlib
from matplotlib import font_manager
from matplotlib.font_manager import FontProperties

from chainer_cifar.streams import printable, tell

# Replaces letters that no font has.
_BLANK = '?'

_told: list[str] = []  # the first such letter, once the user knows of it


def drawable(text: object) -> str:
    """Return `text` as one line that Matplotlib can draw.

    If its font lacks a letter, add the first other font that has it to the fonts in use; texts look
    these up when they are made. If no font has it, replace it with a question mark, and print one
    warning a process.
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


def _is_known(letter: str) -> bool:
    return ord(letter) in _letters_of(font_manager.findfont(FontProperties()))


@functools.cache
def _letters_of(path: str) -> frozenset[int]:
    """Return the code points of the letters in a font file; none if nobody can read it."""
    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@functools.cache
def _family_with(letter: str) -> str | None:
    """Return the name of a font that has `letter`, or None."""
    for font in font_manager.fontManager.ttflist:
        # Last Resort has a box for every letter.
        if not font.name.startswith('Last Resort') and ord(letter) in _letters_of(font.fname):
            return font.name
    return None
