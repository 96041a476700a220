"""Texts that fit where they are drawn: how wide they are, shortened, and as titles in lines."""

import functools
import re
from collections.abc import Iterator

import matplotlib
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from chainer_cifar.figures.fonts import drawable

DPI = 120  # of the pictures that have a title
TITLE = 12  # points
LINES = 3  # of a title, at most

# Where a line may end: behind a blank, but not between a number and its %; within names of runs.
_BREAKS = re.compile(r'(?<= )(?!%)|(?<=[/_,-])(?! )')


def width(text: str, points: float, dpi: float) -> float:
    """Return how many pixels wide a text is, which is `drawable`; capitals are wide, an i is not.

    It is the sum over its letters, of which each is measured once: a text takes half a millisecond
    to measure, and a sheet has a thousand of them.
    """
    families = tuple(matplotlib.rcParams['font.family'])
    return sum(_advance(letter, points, dpi, families) for letter in text)


@functools.cache
def _advance(letter: str, points: float, dpi: float, families: tuple[str, ...]) -> float:
    """Of a letter between two others: alone, a blank has no width."""
    renderer, font = RendererAgg(1, 1, dpi), FontProperties(family=list(families), size=points)
    alone, around = (
        renderer.get_text_width_height_descent(text, font, False)[0]
        for text in ('xx', f'x{letter}x')
    )
    return around - alone


def fitted(text: str, room: float, points: float, dpi: float) -> str:
    """Cut the middle out of a text wider than `room` pixels; both ends of a name say a lot."""
    if width(text, points, dpi) <= room:
        return text
    left = room - width('…', points, dpi)
    end = _as_much(text[::-1], left / 2, points, dpi)[::-1]
    start = _as_much(text, left - width(end, points, dpi), points, dpi)
    return f'{start}…{end}'


def _as_much(text: str, room: float, points: float, dpi: float) -> str:
    """Return the beginning of a text that fits."""
    for count, letter in enumerate(text):
        room -= width(letter, points, dpi)
        if room < 0:
            return text[:count]
    return text


def shortened(text: str, most: int = 40) -> str:
    """Cut the middle out of a text of more than `most` letters."""
    return text if len(text) <= most else f'{text[: (most - 1) // 2]}…{text[-(most // 2) :]}'


def titled(figure: Figure, title: str) -> None:
    """Write a title above the whole figure, in up to `LINES` lines, since names of runs are long.

    Call it first, since it may add a font.
    """
    text, room = drawable(title), 0.97 * figure.get_figwidth() * DPI
    most = LINES * room
    lines = _lines(text, room)
    while len(lines) > LINES:
        lines = _lines(fitted(text, most, TITLE, DPI), room)
        most -= room / 8
    # A dollar sign in a name begins no formula.
    figure.suptitle('\n'.join(lines), fontsize=TITLE, parse_math=False)


def _lines(text: str, room: float) -> list[str]:
    lines, line = [], ''
    for word in _words(text, room):
        if line and width(line + word.rstrip(), TITLE, DPI) > room:
            lines.append(line.rstrip())
            line = ''
        line += word
    return [*lines, line]


def _words(text: str, room: float) -> Iterator[str]:
    """Split a title where a line may end: within a word only if it is wider than a line."""
    for word in _BREAKS.split(text):
        while width(word.rstrip(), TITLE, DPI) > room:
            part = _as_much(word, room, TITLE, DPI) or word[0]
            yield part
            word = word[len(part) :]
        yield word
