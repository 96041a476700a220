"""Say in a page of text what a scan of pictures found."""

from collections.abc import Sequence

import numpy as np

from chainer_cifar.data.scan import Group, Scan
from chainer_cifar.streams import printable
from chainer_cifar.table import aligned, counted

SHOWN = 5  # examples of each kind
CLASSES = 30  # a table of more would be no page
_BAR = 24  # letters


def text(scan: Scan) -> str:
    """Write the page: classes, sizes, and whatever is odd, with some examples of each kind."""
    paragraphs = [_overview(scan), _classes(scan)]
    paragraphs += filter(None, (_few(scan), _unreadable(scan), _same(scan), _alike(scan)))
    return '\n\n'.join(paragraphs)


def warnings(scan: Scan) -> list[str]:
    """Say in a line each what may spoil a result."""
    found = []
    if scan.problems:
        found.append(f'{counted(len(scan.problems), "file")} cannot be read')
    if scan.leaks:
        count = sum(len(group.members) for group in scan.leaks)
        found.append(f'{counted(count, "file")} are copies in two parts (a leak)')
    contradictions = [group for group in scan.same if group.contradicts]
    if contradictions:
        found.append(f'{counted(len(contradictions), "picture")} in several classes at once')
    if scan.few:
        found.append(f'classes with few pictures: {len(scan.few)}')
    return found


def _overview(scan: Scan) -> str:
    lines = [f'{counted(len(scan.readable), "picture")} of {len(scan.counts)} classes']
    parts = sorted({file.part for file in scan.files if file.part})
    if parts:
        counts = [sum(scan.files[i].part == part for i in scan.readable) for part in parts]
        told = [f'{count:,} {part}' for count, part in zip(counts, parts, strict=True)]
        lines[0] += f' ({", ".join(told)})'
    if scan.readable:
        sizes = scan.sizes[scan.readable]
        for word, values in (('width', sizes[:, 0]), ('height', sizes[:, 1])):
            low, middle, high = np.percentile(values, (25, 50, 75)).round().astype(int)
            lines.append(
                f'{word:6}  median {middle} pixels, half of them {low} to {high}, '
                f'all {values.min()} to {values.max()}'
            )
        ratios = sizes[:, 0] / sizes[:, 1]
        wide, tall = 100 * np.mean(ratios > 1.05), 100 * np.mean(ratios < 1 / 1.05)
        lines.append(
            f'shape   {wide:.0f} % are wide, {tall:.0f} % tall, {100 - wide - tall:.0f} % about '
            f'square; {100 * scan.grey[scan.readable].mean():.0f} % are grey'
        )
    return '\n'.join(lines)


def _classes(scan: Scan) -> str:
    most = max(scan.counts.values()) or 1
    ordered = sorted(scan.counts.items(), key=lambda item: -item[1])
    shown = ordered if len(ordered) <= CLASSES else ordered[: CLASSES - 5] + ordered[-5:]
    rows = [
        [printable(label), f'{count:,}', '█' * max(round(_BAR * count / most), count > 0)]
        for label, count in shown
    ]
    if len(shown) < len(ordered):
        rows.insert(CLASSES - 5, [f'… {len(ordered) - len(shown)} more', '', ''])
    width = max(len(row[1]) for row in rows)
    rows = [[label, f'{count:>{width}}', bar] for label, count, bar in rows]
    return (
        f'pictures of each class; the largest has {scan.imbalance:.1f} times as many as the '
        f'smallest\n{aligned(rows)}'
    )


def _few(scan: Scan) -> str:
    if not scan.few:
        return ''
    told = [f'{printable(label)} ({count})' for label, count in scan.few.items()]
    return f'classes with few pictures: {_some(told)}'


def _unreadable(scan: Scan) -> str:
    if not scan.problems:
        return ''
    lines = [f'{_name(scan, i)}: {printable(why)}' for i, why in scan.problems.items()]
    return _listed(f'cannot be read: {counted(len(lines), "file")}', lines)


def _same(scan: Scan) -> str:
    if not scan.same:
        return ''
    extra = sum(len(group.members) - 1 for group in scan.same)
    files, pictures = counted(extra, 'file'), counted(len(scan.same), 'picture')
    head = f'the same picture again: {files}, copies of {pictures}'
    contradictions = sum(group.contradicts for group in scan.same)
    if scan.leaks:
        head += f'; {len(scan.leaks)} in two parts: a leak'
    if contradictions:
        head += f'; {contradictions} with several classes at once'
    # The worst first.
    ordered = sorted(scan.same, key=lambda group: (-group.leaks, -group.contradicts))
    return _listed(head, _members(scan, ordered))


def _alike(scan: Scan) -> str:
    same = {group.members for group in scan.same}
    groups = [group for group in scan.alike if group.members not in same]
    if not groups:
        return ''
    files = counted(sum(len(group.members) for group in groups), 'file')
    head = f'look alike (another size, quality or mirrored): {files}, {len(groups)} groups'
    if scan.mirrored:
        head += f'; mirrored: {len(scan.mirrored)} pairs'
    ordered = sorted(groups, key=lambda group: (-group.leaks, -group.contradicts))
    return _listed(head, _members(scan, ordered))


def _members(scan: Scan, groups: Sequence[Group]) -> list[str]:
    return [_some([_name(scan, i) for i in group.members], 3, ' = ') for group in groups]


def _name(scan: Scan, number: int) -> str:
    """Its path from the folder that holds all, or as it is given if that is elsewhere."""
    path = scan.files[number].path
    inside = path.is_relative_to(scan.folder)
    return printable(path.relative_to(scan.folder) if inside else path)


def _listed(head: str, lines: Sequence[str]) -> str:
    more = [f'… and {len(lines) - SHOWN:,} more'] if len(lines) > SHOWN else []
    return '\n  '.join([head, *lines[:SHOWN], *more])


def _some(words: Sequence[str], most: int = 2 * SHOWN, between: str = ', ') -> str:
    more = f'{between}… ({len(words) - most:,} more)' if len(words) > most else ''
    return between.join(words[:most]) + more
