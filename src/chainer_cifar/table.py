"""Texts in aligned columns."""


def aligned(rows: list[list[str]], right: int | None = None) -> str:
    """Lines of the rows, whose columns are as wide as their widest text, two spaces apart.

    Args:
        rows: Lists of texts, all of one length.
        right: The number of the column from which on texts stand on the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = len(widths) if right is None else right
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        texts = [f'{cell:{"<" if i < right else ">"}{w}}' for i, (cell, w) in enumerate(cells)]
        lines.append('  '.join(texts).rstrip())
    return '\n'.join(lines)
