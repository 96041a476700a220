"""A list of picture files with their classes, and how it is split for training and test."""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.data.split import hold_out
from chainer_cifar.errors import UserError

TRAIN, VALID, TEST = 'train', 'valid', 'test'

# What people call the parts of a data set.
PART_NAMES = {
    'train': TRAIN,
    'training': TRAIN,
    'test': TEST,
    'testing': TEST,
    'valid': VALID,
    'val': VALID,
    'validation': VALID,
}


@dataclasses.dataclass(frozen=True)
class Listing:
    """Picture files, their classes and parts.

    Attributes:
        paths: The files ``(N,)``.
        labels: Their classes ``(N,)``.
        parts: `TRAIN`, `VALID` or `TEST` for each ``(N,)``.
        groups: Numbers ``(N,)``; pictures of equal ones, as of one object, stay in one part.
        class_names: The names of the classes.
        name: What messages call the whole: the folder or file that the user named.
        grouped: Some pictures belong together.
    """

    paths: Sequence[pathlib.Path]
    labels: NDArray[np.int32]
    parts: NDArray[np.str_]
    groups: NDArray[np.int32]
    class_names: tuple[str, ...]
    name: str
    grouped: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def at(self, places: NDArray[np.intp]) -> 'Listing':
        """Return some of the pictures, in the given order."""
        return dataclasses.replace(
            self,
            paths=[self.paths[place] for place in places],
            labels=self.labels[places],
            parts=self.parts[places],
            groups=self.groups[places],
        )

    def places(self, *parts: str) -> NDArray[np.intp]:
        """Return where the pictures of these parts are."""
        return np.flatnonzero(np.isin(self.parts, parts))

    @property
    def divided(self) -> bool:
        """Say whether the user has put pictures into parts: not all are to train."""
        return len(self.places(VALID, TEST)) > 0


def make(
    paths: Sequence[pathlib.Path],
    labels: Sequence[str],
    parts: Sequence[str],
    name: str,
    groups: Sequence[object] | None = None,
) -> Listing:
    """Make a listing from the names of classes; these are sorted, numbers by their value.

    Raises:
        UserError: There is only one class, or none.
    """
    names = sorted(set(labels), key=_by_number)
    if len(names) < 2:
        only = f"only one class, '{names[0]}'" if names else 'no picture'
        raise UserError(f'{name}: {only}; give pictures of two classes or more')
    number = {each: i for i, each in enumerate(names)}
    return Listing(
        paths,
        np.array([number[label] for label in labels], np.int32),
        np.array(parts),
        np.arange(len(paths), dtype=np.int32) if groups is None else numbered(groups),
        tuple(names),
        name,
        groups is not None,
    )


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() and len(name) < 19 else (-1, name)


def numbered(groups: Iterable[object]) -> NDArray[np.int32]:
    """Number groups from 0 in the order in which they first come."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(each, len(numbers)) for each in groups], np.int32)


def group(listing: Listing, pattern: str) -> Listing:
    """Put pictures into groups by what the first group of a regular expression finds in the path.

    The path is that from `Listing.name`, with slashes; without a group, all that the pattern finds
    counts.

    Raises:
        UserError: The pattern is none, or it does not find anything in some path.
    """
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(f"'{pattern}': no regular expression ({error})") from None
    root = pathlib.Path(listing.name)
    root = root if root.is_dir() else root.parent
    names = []
    for path in listing.paths:
        short = path.relative_to(root) if path.is_relative_to(root) else path
        found = expression.search(short.as_posix())
        if found is None or not (text := found[1 if expression.groups else 0]):
            raise UserError(f"'{pattern}': finds nothing in {short}; it must in every path")
        names.append(text)
    return dataclasses.replace(listing, groups=numbered(names), grouped=True)


def split(listing: Listing, share: float, seed: int) -> Listing:
    """Choose test pictures if there are none yet: a share of each class, and whole groups.

    Args:
        listing: The pictures.
        share: The share of test pictures.
        seed: Seed of the choice.

    Raises:
        UserError: A class has too few pictures; or a group is in two parts.
    """
    if not len(listing.places(TEST)):
        places = listing.places(TRAIN)
        keep = 1 if len(listing.places(VALID)) else 2  # one of them will validate
        rng = np.random.RandomState(seed)
        held = hold_out(listing.labels[places], listing.groups[places], share, rng, keep)
        parts = listing.parts.copy()
        parts[places[held]] = TEST
        listing = dataclasses.replace(listing, parts=parts)
        _require_each(listing, TEST, keep + 1)
    require_enough(listing)
    _require_whole_groups(listing)
    return listing


def require_enough(listing: Listing) -> None:
    """Raise UserError unless each class has pictures to train, and others to validate."""
    _require_each(listing, TRAIN, 1 if len(listing.places(VALID)) else 2)


def _require_each(listing: Listing, part: str, least: int) -> None:
    """Raise UserError unless each class has as many groups, in this part or without a part."""
    few: list[tuple[str, int]] = []
    for number, name in enumerate(listing.class_names):
        inside = listing.labels == number
        here = inside & (listing.parts == part)
        counted = here if part == TRAIN else inside & (listing.parts != VALID)
        count = len(np.unique(listing.groups[counted]))
        if count < least or not here.any():
            few.append((name, count))
    if few:
        (name, count), others = few[0], [f"'{name}'" for name, _ in few[1:]]
        what = 'group' if listing.grouped else 'picture'
        where = f' in its {part} part' if part == TRAIN else ''
        more = f' (there are more such classes: {", ".join(others)})' if others else ''
        raise UserError(
            f"{listing.name}: class '{name}' has {count} {what}{'' if count == 1 else 's'}{where}; "
            f'it needs {least} at least, some to train and others to judge by: add some, or leave '
            f'the class out{more}'
        )


def _require_whole_groups(listing: Listing) -> None:
    if not listing.grouped:
        return
    _, firsts, places = np.unique(listing.groups, return_index=True, return_inverse=True)
    first = firsts[places.ravel()]  # of its group, for each picture
    other = np.flatnonzero(listing.parts != listing.parts[first])
    if len(other):
        one = listing.paths[first[other[0]]]
        raise UserError(
            f'{listing.name}: {one} and {listing.paths[other[0]]} belong to one group and are in '
            f'two parts; put them into one'
        )
