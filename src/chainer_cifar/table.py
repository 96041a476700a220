"""Rows as text, in aligned columns or as CSV; numbers of things, and sizes of files."""

import csv
import io
import unicodedata
from collections.abc import Iterable


def counted(count: int, thing: str) -> str:
    """Write how many there are, as in ``1 image`` and ``2,000 images``."""
    return f'{count:,} {thing}{"s" if count != 1 else ""}'


def sized(count: int) -> str:
    """Write so many bytes in megabytes, or in kilobytes if they are few."""
    return f'{count / 1e6:.1f} MB' if count >= 100_000 else f'{count / 1e3:.1f} kB'


def cells(text: str) -> int:
    """Return how wide a text is in a terminal: Chinese letters count twice, accents nothing."""
    return sum(
        0
        if unicodedata.category(letter) in ('Mn', 'Me', 'Cf')
        else 1 + (unicodedata.east_asian_width(letter) in 'WF')
        for letter in text
    )


def padded(text: str, width: int, right: bool = False) -> str:
    """Return a text, on the left or the right of so many cells."""
    blanks = ' ' * (width - cells(text))
    return blanks + text if right else text + blanks


def aligned(rows: list[list[str]], right: int | None = None) -> str:
    """Lines of the rows, whose columns are as wide as their widest text, two spaces apart.

    Args:
        rows: Lists of texts, all of one length.
        right: The number of the column from which on texts stand on the right.
    """
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    right = len(widths) if right is None else right
    lines = []
    for row in rows:
        columns = enumerate(zip(row, widths, strict=True))
        texts = [padded(cell, width, i >= right) for i, (cell, width) in columns]
        lines.append('  '.join(texts).rstrip())
    return '\n'.join(lines)


def comma_separated(rows: Iterable[Iterable[object]]) -> str:
    """Write rows as the lines of a CSV file; the last one has no end."""
    out = io.StringIO()
    csv.writer(out, lineterminator='\n').writerows(rows)
    return out.getvalue().rstrip('\n')
