"""Find pictures that look alike: perceptual hashes, and all pairs of them within a distance.

A hash holds the signs of the 63 lowest frequencies of a picture (Zauner, Implementation and
benchmarking of perceptual image hash functions, 2010), so that the same picture in another size or
quality has nearly the same one. Whatever looks alike by its hash is compared once more, by a
thumbnail in colour, since drawings on white often share their low frequencies.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy
from numpy.typing import NDArray

from chainer_cifar.data import components

SIDE = 16  # pixels of a thumbnail
DISTANCE = 6  # bits in which the hashes of the same picture may differ
TOLERANCE, SHARE = 2.0, 0.1  # by which thumbnails may differ: values, and share of their contrast

_BLOCK = 1 << 22  # pairs at a time, 32 MB of them
_PIECE = 10_000  # pairs whose thumbnails are compared at a time
_JOIN = 1000  # pairs after which it is looked anew what they join
_BITS_OF = np.unpackbits(np.arange(1 << 16, dtype=np.uint16).view(np.uint8)).reshape(-1, 16)
_BITS_SET = _BITS_OF.sum(axis=1, dtype=np.uint8)

Thumbnails: TypeAlias = NDArray[np.uint8]  # (N, 16, 16, 3)
Hashes: TypeAlias = NDArray[np.uint64]  # (N,)


class Pairs(NamedTuple):
    """Pairs of pictures, ``one[k] < other[k]``, by their numbers; bool ``mirrored``."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def find(thumbnails: Thumbnails) -> Pairs:
    """Find pairs that join all that looks alike; a mirror image looks like its picture.

    It does, since training with ``mirror`` shows both. A picture that is turned, cut or made much
    brighter does not. Where many look alike, as what a camera saw that did not move, not all their
    pairs are found: for 10,000 pictures these would be 50,000,000.
    """
    hashes, mirrored = hash_all(thumbnails)
    contrasts = _contrasts(thumbnails)
    nobody = np.zeros(0, np.int64)
    found = [Pairs(nobody, nobody, np.zeros(0, np.bool_))]
    # What is joined already needs no further pair. So a symmetric picture, which looks like another
    # and like its mirror image, makes no mirrored pair.
    groups: NDArray[np.int64] = np.arange(len(thumbnails))
    new = 0
    for flip, others in ((False, hashes), (True, mirrored)):
        for one, other in _pieces(within(hashes, others, DISTANCE)):
            wanted = (one < other) & (groups[one] != groups[other])
            one, other = one[wanted], other[wanted]
            near = _alike(thumbnails, contrasts, one, other, flip)
            found.append(Pairs(one[near], other[near], np.full(near.sum(), flip)))
            new += len(found[-1].one)
            if not flip and new > _JOIN:
                groups, new = _joined(found, len(thumbnails)), 0
        if not flip:
            groups = _joined(found, len(thumbnails))
    pairs = _together(found)
    _, first = np.unique(np.stack([pairs.one, pairs.other]), axis=1, return_index=True)
    return Pairs(pairs.one[first], pairs.other[first], pairs.mirrored[first])


def _together(found: Sequence[Pairs]) -> Pairs:
    return Pairs(
        np.concatenate([pairs.one for pairs in found]),
        np.concatenate([pairs.other for pairs in found]),
        np.concatenate([pairs.mirrored for pairs in found]),
    )


def _joined(found: Sequence[Pairs], count: int) -> NDArray[np.int64]:
    """Number pictures so that those that pairs join have the same number."""
    pairs = _together(found)
    return components.number(pairs.one, pairs.other, count)


def _pieces(
    blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    for one, other in blocks:
        for start in range(0, len(one), _PIECE):
            yield one[start : start + _PIECE], other[start : start + _PIECE]


def hash_all(thumbnails: Thumbnails) -> tuple[Hashes, Hashes]:
    """Hash thumbnails, and their mirror images, whose odd frequencies have the other sign."""
    grey = thumbnails.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    low = scipy.fft.dctn(grey, axes=(1, 2))[:, :8, :8]
    low[:, 0, 0] = 0  # the brightness
    signs = np.where(np.arange(8) % 2, -1, 1)
    return _signs(low), _signs(low * signs)


def _signs(low: NDArray[np.float32]) -> Hashes:
    low = low.reshape(-1, 64)
    # Not of what is nearly 0, as odd frequencies of a symmetric picture are.
    least = np.abs(low).mean(axis=1, keepdims=True) / 4
    return np.packbits(low > least, axis=1).view(np.uint64)[:, 0]


def _contrasts(thumbnails: Thumbnails) -> NDArray[np.float32]:
    parts = []
    for start in range(0, len(thumbnails), 10_000):  # float32 takes four times the bytes
        x = thumbnails[start : start + 10_000].reshape(-1, SIDE * SIDE, 3).astype(np.float32)
        parts.append(np.abs(x - x.mean(axis=1, keepdims=True)).mean(axis=(1, 2)))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _alike(
    thumbnails: Thumbnails,
    contrasts: NDArray[np.float32],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    flip: bool,
) -> NDArray[np.bool_]:
    x, y = thumbnails[one], thumbnails[other]
    y = y[:, :, ::-1] if flip else y
    difference = np.abs(x.astype(np.int16) - y).mean(axis=(1, 2, 3))
    return difference <= TOLERANCE + SHARE * np.minimum(contrasts[one], contrasts[other])


def within(
    hashes: Hashes, others: Hashes, distance: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the numbers of all pairs of `hashes` and `others` that differ in few bits.

    No pair is missed: of ``distance + 1`` parts of the bits, such a pair has one in common (the
    pigeonhole principle), so that only pictures that share a part are compared. A pair may come
    several times.

    Args:
        hashes: ``(N,)``
        others: ``(M,)``
        distance: The most bits, at most 63.
    """
    edges = np.linspace(0, 64, distance + 2).round().astype(np.uint64)
    for low, high in itertools.pairwise(edges):
        mask = np.uint64((1 << int(high - low)) - 1)
        left, right = (((array >> low) & mask) for array in (hashes, others))
        order, other_order = (np.argsort(part, kind='stable') for part in (left, right))
        keys = np.intersect1d(left, right)
        places = *_edges(left[order], keys), *_edges(right[other_order], keys)
        for start, end, first, last in zip(*places, strict=True):
            theirs = other_order[first:last]
            step = max(1, _BLOCK // len(theirs))
            for begin in range(start, end, step):
                ours = order[begin : min(begin + step, end)]
                different = hashes[ours, None] ^ others[None, theirs]
                rows, columns = np.nonzero(_bits(different) <= distance)
                if len(rows):
                    yield ours[rows], theirs[columns]


def _edges(values: Hashes, keys: Hashes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the run of each key begins and ends in sorted values."""
    return np.searchsorted(values, keys), np.searchsorted(values, keys, 'right')


def _bits(values: Hashes) -> NDArray[np.uint8]:
    """Count the bits that are set; NumPy has a function for it from 2.0 on."""
    parts = np.ascontiguousarray(values).view(np.uint16).reshape(*values.shape, 4)
    found: NDArray[np.uint8] = _BITS_SET[parts[..., 0]]
    for k in range(1, 4):
        found += _BITS_SET[parts[..., k]]
    return found
