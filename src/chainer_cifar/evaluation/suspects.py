"""Find pictures whose label may be wrong: confident learning.

Northcutt, Jiang and Chuang, Confident Learning: Estimating Uncertainty in Dataset Labels, 2021. A
net that has never seen a picture may be sure that it is of another class. How sure it must be
depends on the class: no less than it is, on average, of the pictures with that label.
"""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import figures
from chainer_cifar.data import store

SHOWN = 40  # pictures of the gallery
ALIKE = 1e-6  # probabilities so near to each other are equally sure; cleanlab's number, too

Probabilities = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]


class Suspects(NamedTuple):
    """Pictures that may have a wrong label, the most doubtful first.

    Attributes:
        places: Their numbers ``(S,)``.
        suggested: The class that the net takes each for ``(S,)``.
        margin: Probability of the given class less that of the suggested one, below 0, ``(S,)``.
        joint: The confident joint ``(K, K)``: how many pictures with the label of a row are
            confidently of the class of a column.
        thresholds: The probability from which on a class is confident ``(K,)``; NaN for a class
            without pictures.
    """

    places: NDArray[np.int64]
    suggested: NDArray[np.int64]
    margin: NDArray[np.float64]
    joint: NDArray[np.int64]
    thresholds: NDArray[np.float64]


def find(probabilities: Probabilities, labels: Labels) -> Suspects:
    """Find the off-diagonal pictures of the confident joint, and rank them by their margin.

    Args:
        probabilities: ``(N, K)``, of a net that did not train on the picture: out-of-fold.
        labels: The given classes ``(N,)``.
    """
    p: NDArray[np.float64] = np.asarray(probabilities, np.float64)
    n, n_class = p.shape
    sums, counts = np.zeros(n_class), np.bincount(labels, minlength=n_class)
    np.add.at(sums, labels, p[np.arange(n), labels])
    with np.errstate(invalid='ignore'):
        thresholds: NDArray[np.float64] = sums / np.where(counts, counts, np.nan)
    # A class without pictures has no threshold: nothing is confidently of it.
    # Of easy pictures a net is surer than 0.99999999; of which the most, tells nothing.
    confident = p >= np.where(counts, thresholds - ALIKE, np.inf)
    of = np.where(confident, p, -1).argmax(axis=1)
    known = confident.any(axis=1)
    joint = np.zeros((n_class, n_class), np.int64)
    np.add.at(joint, (labels[known], of[known]), 1)
    margin: NDArray[np.float64] = p[np.arange(n), labels] - p[np.arange(n), of]
    # Where the given class is the more probable one, the threshold of the other was but low.
    doubtful = np.flatnonzero(known & (of != labels) & (margin < 0))
    order = doubtful[np.argsort(margin[doubtful], kind='stable')]
    return Suspects(order, of[order], margin[order], joint, thresholds)


def draw(
    found: Suspects,
    pictures: NDArray[np.uint8],
    labels: Labels,
    class_names: Sequence[str],
    names: Sequence[str],
    path: pathlib.Path,
    title: str,
) -> None:
    """Draw the most doubtful ones with the given class and the suggested one into a PNG file.

    Args:
        found: From `find`; there must be one at least.
        pictures: The first `SHOWN` of `found`, uint8 ``(S, 3, H, W)``.
        labels: The given classes ``(N,)``.
        class_names: K names.
        names: Of all N pictures.
        path: The file.
        title: Text above the pictures.
    """
    captions = [
        (
            names[i].rpartition('/')[2],
            f'given: {class_names[labels[i]]}',
            f'rather: {class_names[other]}',
            f'{margin:.2f}',
        )
        for i, other, margin in zip(found.places, found.suggested, found.margin, strict=True)
    ]
    figures.gallery(pictures, captions[: len(pictures)], path, title)


def write(
    found: Suspects,
    labels: Labels,
    class_names: Sequence[str],
    names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Write all of them as a CSV file: image, given, suggested, margin.

    Args:
        found: From `find`.
        labels: The given classes ``(N,)``.
        class_names: K names.
        names: Of all N pictures.
        path: The file.
    """
    rows = [
        (names[i], class_names[labels[i]], class_names[other], f'{margin:.4f}')
        for i, other, margin in zip(found.places, found.suggested, found.margin, strict=True)
    ]
    store.write_table(path, ('image', 'given', 'suggested', 'margin'), rows)
