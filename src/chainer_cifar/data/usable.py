"""Choose those of some pictures, which were scanned, that a net can learn from and be judged by."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.data import components, listing
from chainer_cifar.data.listing import TEST, Listing
from chainer_cifar.data.scan import Scan
from chainer_cifar.errors import UserError
from chainer_cifar.streams import printable

LEAST_GROUPS = 3  # of a class: one each to train, to validate and to test


def choose(found: Listing, looked: Scan) -> tuple[Listing, list[str]]:
    """Leave out what cannot be read, copies, and classes with too few; keep look-alikes together.

    A picture that is there ten times in one class would count ten times in the test. Of pictures
    that the user has split there, all stay but the unreadable ones, as they were split; look-alikes
    in one part stay together when folds or a validation part are taken from it.

    Args:
        found: The pictures.
        looked: The scan of them, in the same order.

    Returns:
        Those that are left, and a line on each kind that is not.

    Raises:
        UserError: Fewer than two classes are left.
    """
    grouped = found.grouped
    usable = np.ones(len(found), bool)
    usable[list(looked.problems)] = False
    told = []
    # By part: no group may be in two.
    alike = listing.numbered(zip(looked.of_group().tolist(), found.parts, strict=True))
    joined = _joined(found.groups, alike)
    together = grouped or len(np.unique(joined)) < len(joined)
    found = dataclasses.replace(found, groups=joined, grouped=together)
    if not len(found.places(TEST)):
        copies = _copies(found, looked)
        usable[copies] = False
        if len(copies):
            told.append(f'left out {len(copies)} copies of pictures of the same class')
        few = []
        for number, name in enumerate(found.class_names):
            inside = usable & (found.labels == number)
            if len(np.unique(found.groups[inside])) < LEAST_GROUPS:
                usable &= found.labels != number
                few.append(f'{printable(name)} ({int(inside.sum())})')
        if few:
            told.append(
                f'left out what has fewer than {LEAST_GROUPS} different pictures: {", ".join(few)}'
            )
    if len(np.unique(found.labels[usable])) < 2:
        each = ' (one of each group counts)' if grouped else ''
        what = f'{LEAST_GROUPS} different pictures{each}'
        if len(found.places(TEST)):
            what = 'a picture that can be read'
        raise UserError(f'{found.name}: fewer than two classes have {what}; add pictures')
    return _without_empty_classes(found.at(np.flatnonzero(usable))), told


def _without_empty_classes(kept: Listing) -> Listing:
    present, labels = np.unique(kept.labels, return_inverse=True)
    names = tuple(kept.class_names[number] for number in present)
    return dataclasses.replace(kept, labels=labels.astype(np.int32), class_names=names)


def _copies(found: Listing, looked: Scan) -> list[int]:
    """The places of all but the first of the same picture with the same label, in one part."""
    copies = []
    for group in looked.same:
        seen = set()
        for place in group.members:
            kind = int(found.labels[place]), found.parts[place]
            if kind in seen:
                copies.append(place)
            seen.add(kind)
    return copies


def _joined(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int32]:
    """Groups so large that those of both kinds are whole."""
    other = other + int(one.max()) + 1
    numbers = components.number(one, other, int(other.max()) + 1)
    return numbers[one].astype(np.int32)
