"""Sheets of pictures with words beside them, pixel by pixel: nothing is resampled."""

import numpy as np
from matplotlib.figure import Figure

from chainer_cifar.files import atomic_write

DPI = 100
GALLERY = 400  # pictures; more can hardly be looked at
MARGIN = 16  # pixels
LINE = 14  # height of a line of small text
HEADING = 34
SMALL, LARGE = 8, 11  # points

# Colour and width: None is as thin as shows where a white picture ends.
_FRAMES = {True: ((0, 150, 60), 4), False: ((215, 25, 28), 4), None: ((160, 160, 160), 1)}


def gallery(images, captions, path, title, right=None, columns=10):
    """Pictures with some lines of text under each and a frame that tells right from wrong.

    Args:
        images: uint8 ``(N, 3, 32, 32)``, at most `GALLERY`.
        captions: The lines for each, of any number.
        path: The PNG file.
        title: Shown above.
        right: For each True (green), False (red) or None (a thin grey frame).
        columns: Pictures in a row.
    """
    zoom = 4
    frames = [_FRAMES[mark] for mark in right or [None] * len(images)]
    widest = max(width for _, width in frames)
    size = zoom * images.shape[2] + 2 * widest
    below = LINE * max(map(len, captions))
    cell = np.array([size + below + MARGIN, size + MARGIN])
    columns = min(columns, len(images))
    height, width = cell * (-(-len(images) // columns), columns) + (HEADING, MARGIN)
    canvas, texts = _canvas(height, width, title)
    for i, image in enumerate(images):
        top, left = cell * divmod(i, columns) + (HEADING, MARGIN)
        colour, frame = frames[i]
        picture = image.repeat(zoom, axis=1).repeat(zoom, axis=2).transpose(1, 2, 0)
        framed = np.full((size, size, 3), 255, np.uint8)
        for width, content in ((widest - frame, colour), (widest, picture)):
            framed[width : size - width, width : size - width] = content
        canvas[top : top + size, left : left + size] = framed
        left += widest - frame  # the text begins where the frame does
        for number, line in enumerate(captions[i]):
            texts.append((left, top + size + (number + 0.5) * LINE, _fitted(line, size), SMALL))
    _write(canvas, texts, path)


def panels(rows, path, title):
    """Pictures beside and below each other, each with its caption above.

    Args:
        rows: Lists of (caption, uint8 ``(H, W, 3)``), of one length.
        path: The PNG file.
        title: Shown above.
    """
    heights = [max(len(picture) for _, picture in row) + LINE + MARGIN for row in rows]
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


def _canvas(height, width, title):
    """White pixels (H, W, 3), and the texts on them: (left, middle, text, points)."""
    width = max(width, _width(title, LARGE) + 2 * MARGIN)
    return np.full((height, width, 3), 255, np.uint8), [(MARGIN, HEADING / 2, title, LARGE)]


def _width(text, points=SMALL):
    """About how many pixels wide a text is: a letter is 0.6 of its size."""
    return round(0.6 * points / 72 * DPI * len(text))


def _fitted(text, width):
    """The text, without its middle if it is too long: both ends of a file name tell much."""
    count = 10 * width // _width('x' * 10)
    end = count // 2
    return text if len(text) <= count else f'{text[: count - end - 1]}…{text[-end:]}'


def _write(canvas, texts, path):
    height, width = canvas.shape[:2]
    # The tenth of a pixel, since before Matplotlib 3.11 the size in pixels is cut off, and
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
    with atomic_write(path) as file:
        figure.savefig(file, format='png', dpi=DPI)
