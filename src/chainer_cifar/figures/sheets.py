"""Draw sheets of pictures with words beside them, pixel by pixel; only large ones are resampled."""

import math
import pathlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from chainer_cifar.figures import png
from chainer_cifar.figures.fonts import drawable
from chainer_cifar.figures.texts import fitted
from chainer_cifar.figures.texts import width as width_of
from chainer_cifar.figures.tiles import SIDE, colours, resized

DPI = 100
Canvas: TypeAlias = NDArray[np.uint8]  # (H, W, 3)
Text: TypeAlias = tuple[float, float, str, int]  # left and middle in pixels, text, points

GALLERY = 400  # pictures; nobody looks at more
MARGIN = 16  # pixels
LINE = 14  # pixels, height of a line of small text
HEADING = 34  # pixels
SMALL, LARGE = 8, 11  # points

# Colour and width of the frame for right, wrong and unknown, which is just thick enough to show
# where a white picture ends.
_FRAMES = {True: ((0, 150, 60), 4), False: ((215, 25, 28), 4), None: ((160, 160, 160), 1)}


def gallery(
    images: NDArray[np.uint8],
    captions: Sequence[Sequence[str]],
    path: pathlib.Path,
    title: str,
    right: Sequence[bool | None] | None = None,
    columns: int = 10,
) -> None:
    """Draw pictures, each with lines of text below it and a frame that says if it is right.

    Args:
        images: uint8 ``(N, C, H, W)``, at most `GALLERY`; each is drawn about `SIDE` pixels large.
        captions: For each picture any number of lines.
        path: The PNG file to write.
        title: Text above the pictures.
        right: For each picture True (green frame), False (red) or None (thin and grey).
        columns: Pictures in a row.
    """
    frames = [_FRAMES[mark] for mark in right or [None] * len(images)]
    widest = max(width for _, width in frames)
    images = resized(colours(images), SIDE).transpose(0, 2, 3, 1)
    high, wide = (length + 2 * widest for length in images.shape[1:3])
    room = SIDE + 2 * widest  # for text, however narrow the pictures are
    below = LINE * max(map(len, captions))
    cell = np.array([high + below + MARGIN, room + MARGIN])
    columns = min(columns, len(images))
    height, width = cell * (-(-len(images) // columns), columns) + (HEADING, MARGIN)
    canvas, texts = _canvas(height, width, title)
    for i, picture in enumerate(images):
        top, left = cell * divmod(i, columns) + (HEADING, MARGIN)
        colour, frame = frames[i]
        framed = np.full((high, wide, 3), 255, np.uint8)
        for width, content in ((widest - frame, colour), (widest, picture)):
            framed[width : high - width, width : wide - width] = content
        canvas[top : top + high, left : left + wide] = framed
        left += widest - frame  # the text begins where the frame does
        for number, line in enumerate(captions[i]):
            text = fitted(drawable(line), room, SMALL, DPI)
            texts.append((left, top + high + (number + 0.5) * LINE, text, SMALL))
    _write(canvas, texts, path)


def panels(
    rows: Sequence[Sequence[tuple[str, Canvas]]], path: str | pathlib.Path, title: str
) -> None:
    """Draw pictures beside and below each other, each with its caption above it.

    Args:
        rows: Rows of equal length of (caption, picture).
        path: The PNG file to write.
        title: Text above the pictures.
    """
    heights = [max(len(picture) for _, picture in row) + LINE + MARGIN for row in rows]
    rows = [[(drawable(caption), picture) for caption, picture in row] for row in rows]
    widths = [
        max(max(picture.shape[1], _width(caption)) for caption, picture in column) + MARGIN
        for column in zip(*rows, strict=True)
    ]
    canvas, texts = _canvas(HEADING + sum(heights), MARGIN + sum(widths), title)
    top = HEADING
    for row, height in zip(rows, heights, strict=True):
        left = MARGIN
        for (caption, picture), width in zip(row, widths, strict=True):
            texts.append((left, top + LINE / 2, caption, SMALL))
            below = top + LINE + 2
            canvas[below : below + len(picture), left : left + picture.shape[1]] = picture
            left += width
        top += height
    _write(canvas, texts, path)


def _canvas(height: int, width: int, title: str) -> tuple[Canvas, list[Text]]:
    """Make white pixels and a list of texts on them, of which the title is the first."""
    title = drawable(title)
    width = max(width, _width(title, LARGE) + 2 * MARGIN)
    return np.full((height, width, 3), 255, np.uint8), [(MARGIN, HEADING / 2, title, LARGE)]


def _width(text: str, points: int = SMALL) -> int:
    return math.ceil(width_of(text, points, DPI))


def _write(canvas: Canvas, texts: Sequence[Text], path: str | pathlib.Path) -> None:
    height, width = canvas.shape[:2]
    # Add a tenth of a pixel, since Matplotlib before 3.11 rounds the size in pixels down, and
    # 228 / DPI * DPI may be less than 228.
    figure = Figure(figsize=((width + 0.1) / DPI, (height + 0.1) / DPI), dpi=DPI)
    figure.figimage(canvas)
    for left, middle, text, points in texts:
        # A dollar sign in a name begins no formula.
        figure.text(
            left / width,
            1 - middle / height,
            text,
            fontsize=points,
            va='center_baseline',
            parse_math=False,
        )
    png.write(figure, path, DPI)
