"""Look over pictures before training: how many, how large, which twice, which cannot be read.

Nothing here changes a file. `scan` takes what the sources give, paths and classes, and returns a
`Scan`, of which scan_report.py makes a page.
"""

import collections
import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chainer_cifar.data import components, look_alikes, picture, threads
from chainer_cifar.data.listing import Listing
from chainer_cifar.errors import first_line
from chainer_cifar.files import open_bytes

FEW = 20  # pictures of a class of which it can hardly be learned
DRAFT = 64  # pixels, the least side to which a JPEG file is decoded; see PIL.Image.draft


class File(NamedTuple):
    """A picture file, the name of its class, and its part: train, valid, test, or empty."""

    path: pathlib.Path
    label: str
    part: str = ''


def files_of(listing: Listing) -> list[File]:
    """Take the files from the list of a source; it has no parts yet if all are to train."""
    divided = listing.divided
    return [
        File(path, listing.class_names[label], str(part) if divided else '')
        for path, label, part in zip(listing.paths, listing.labels, listing.parts, strict=True)
    ]


class Group(NamedTuple):
    """Pictures that are the same or look alike, by their numbers in `Scan.files`."""

    members: tuple[int, ...]
    parts: tuple[str, ...]  # those that they are in, sorted
    labels: tuple[str, ...]  # likewise their classes

    @property
    def leaks(self) -> bool:
        """Is a picture in the test set, or for validation, that is in training, too?"""
        return len(self.parts) > 1

    @property
    def contradicts(self) -> bool:
        """Has one picture several classes?"""
        return len(self.labels) > 1


@dataclasses.dataclass(frozen=True)
class Scan:
    """What is known of some picture files.

    Attributes:
        files: All of them.
        sizes: Width and height in pixels, upright, ``(N, 2)``; 0 of what cannot be read.
        grey: Which have no colours, bool ``(N,)``.
        problems: Why it cannot be read, by the number of the file.
        same: Groups of the same picture: the bytes of the file are, or its pixels.
        alike: Groups of pictures that look alike; each holds the whole groups of `same`.
        mirrored: Pairs in `alike` of which one is the mirror image.
    """

    files: tuple[File, ...]
    sizes: NDArray[np.int64]
    grey: NDArray[np.bool_]
    problems: dict[int, str]
    same: tuple[Group, ...]
    alike: tuple[Group, ...]
    mirrored: tuple[tuple[int, int], ...]

    @property
    def readable(self) -> list[int]:
        """Numbers of the files that can be read."""
        return [i for i in range(len(self.files)) if i not in self.problems]

    @functools.cached_property
    def folder(self) -> pathlib.Path:
        """The folder that holds all files; the current one if a table names them in two ways."""
        parents = [file.path.parent for file in self.files]
        if len({parent.is_absolute() for parent in parents}) > 1:
            return pathlib.Path()
        return pathlib.Path(os.path.commonpath(parents))

    @functools.cached_property
    def counts(self) -> dict[str, int]:
        """Readable pictures of each class, sorted by its name; 0 where there is none."""
        found = collections.Counter(self.files[i].label for i in self.readable)
        return {label: found[label] for label in sorted({file.label for file in self.files})}

    @property
    def imbalance(self) -> float:
        """How many times more pictures the largest class has than the smallest."""
        return max(self.counts.values()) / max(min(self.counts.values()), 1)

    @property
    def few(self) -> dict[str, int]:
        """The classes with fewer than `FEW` pictures."""
        return {label: count for label, count in self.counts.items() if count < FEW}

    @property
    def leaks(self) -> list[Group]:
        """Groups of `same` that are in two parts."""
        return [group for group in self.same if group.leaks]

    def of_group(self) -> NDArray[np.int64]:
        """Number the groups for a split, ``(N,)``: what looks alike has the same number."""
        numbers = np.arange(len(self.files), dtype=np.int64)
        for group in self.alike:
            numbers[list(group.members)] = group.members[0]
        return numbers


class _Seen(NamedTuple):
    """What was seen of one file; the thumbnail is uint8 ``(16, 16, 3)``."""

    size: tuple[int, int]
    grey: bool
    digest: bytes
    thumbnail: NDArray[np.uint8]


def scan(files: Iterable[File], jobs: int | None = None) -> Scan:
    """Look at each picture once, small where its format allows that, with a bar of progress.

    Args:
        files: The pictures.
        jobs: How many to decode at a time; None: as many as there are CPUs.
    """
    files = tuple(files)
    seen = list(threads.results(_look, [file.path for file in files], 'scan', jobs))
    problems = {i: each for i, each in enumerate(seen) if isinstance(each, str)}
    found = {i: each for i, each in enumerate(seen) if not isinstance(each, str)}
    sizes = np.zeros((len(files), 2), np.int64)
    grey = np.zeros(len(files), np.bool_)
    for i, each in found.items():
        sizes[i], grey[i] = each.size, each.grey
    same_pairs = _pairs((i, each.digest) for i, each in found.items())
    # One of several files with the same bytes stands for all.
    copies = {other for _, other in same_pairs}
    firsts = np.array([i for i in found if i not in copies], np.int64)
    small = np.zeros((len(firsts), look_alikes.SIDE, look_alikes.SIDE, 3), np.uint8)
    for place, i in enumerate(firsts):
        small[place] = found[i].thumbnail
    pairs = look_alikes.find(small)
    near = [(int(firsts[a]), int(firsts[b])) for a, b in zip(pairs.one, pairs.other, strict=True)]
    mirrored = tuple(pair for pair, flip in zip(near, pairs.mirrored, strict=True) if flip)
    unmirrored = [pair for pair, flip in zip(near, pairs.mirrored, strict=True) if not flip]
    same_pairs += _with_equal_pixels(files, found, unmirrored, jobs)
    return Scan(
        files,
        sizes,
        grey,
        problems,
        _groups(files, same_pairs),
        _groups(files, same_pairs + near),
        mirrored,
    )


def _look(path: pathlib.Path) -> _Seen | str:
    """See a picture, or tell why it cannot be read."""
    try:
        with open_bytes(path) as opened:
            digest = _digest(opened.read())
        with picture.opened(path) as file:
            width, height = file.size
            file.draft('RGB', (DRAFT, DRAFT))
            before = file.size
            image = picture.upright(file)
            if image.size != before:
                width, height = height, width
            image = picture.eight_bits(image)
            if image.size != (side := (look_alikes.SIDE,) * 2):
                image = image.resize(side, Image.Resampling.BOX)
            thumbnail = np.asarray(picture.on_white(image))
    except Exception as error:  # a damaged picture raises a dozen kinds of errors
        return first_line(error)
    grey = bool((thumbnail == thumbnail[..., :1]).all())
    return _Seen((width, height), grey, digest, thumbnail)


def _pixels(path: pathlib.Path) -> bytes | None:
    """Hash all pixels of a picture; None if it cannot be read."""
    try:
        with picture.opened(path) as file:
            image = picture.on_white(picture.eight_bits(picture.upright(file)))
            return _digest(image.tobytes())
    except Exception:  # it could be a moment ago
        return None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _pairs(keys: Iterable[tuple[int, object]]) -> list[tuple[int, int]]:
    """Pair each picture, given by number and key, with the first one that has the same key."""
    first: dict[object, int] = {}
    pairs = [(first.setdefault(key, i), i) for i, key in keys]
    return [(one, other) for one, other in pairs if one != other]


def _with_equal_pixels(
    files: Sequence[File], found: dict[int, _Seen], pairs: list[tuple[int, int]], jobs: int | None
) -> list[tuple[int, int]]:
    """Pairs, of what these pairs join, that have the same pixels, as a copy in another format has.

    Their thumbnails need not be equal: that of a JPEG is of what `draft` decodes.
    """
    of_size: dict[tuple[int, tuple[int, int]], list[int]] = collections.defaultdict(list)
    for number, group in enumerate(_groups(files, pairs)):
        for i in group.members:
            of_size[number, found[i].size].append(i)
    wanted = [i for members in of_size.values() if len(members) > 1 for i in members]
    paths = [files[i].path for i in wanted]
    digests = threads.results(_pixels, paths, 'compare', jobs)
    return _pairs(
        (i, (found[i].size, digest))
        for i, digest in zip(wanted, digests, strict=True)
        if digest is not None
    )


def _groups(files: Sequence[File], pairs: Sequence[tuple[int, int]]) -> tuple[Group, ...]:
    """Join pairs that have a picture in common."""
    if not pairs:
        return ()
    one, other = np.array(pairs).T
    numbers = components.number(one, other, len(files))
    members: dict[int, list[int]] = {}
    for i in sorted({i for pair in pairs for i in pair}):
        members.setdefault(int(numbers[i]), []).append(i)
    return tuple(
        Group(
            tuple(each),
            tuple(sorted({files[i].part for i in each})),
            tuple(sorted({files[i].label for i in each})),
        )
        for each in members.values()
    )
