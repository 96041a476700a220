"""Choose by lot which images train, and which are held back to validate or to test."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.data import folds
from chainer_cifar.data.dataset import Dataset

Integers = NDArray[np.integer[Any]]

SHARE = 0.1  # of the training images that validate


class Split(NamedTuple):
    """Indices of the training images that train, and of those that validate."""

    train: NDArray[np.int64]
    valid: NDArray[np.int64]


def draw(
    data: Dataset, seed: int, validate: bool = True, fold: tuple[int, int] | None = None
) -> Split:
    """Choose which training images train, and which validate.

    Args:
        data: The labels, groups and chosen validation images count.
        seed: Seed of the random choice.
        validate: Set the chosen images aside for validation. If there are none, a tenth: of data
            with groups, which are the user's own pictures, a tenth of each class and at least one
            image, by whole groups; of other data, such as CIFAR-10, of all images, as ever.
        fold: Number of folds and of the one, from 1, that validates, as in cross-validation;
            then `data.valid` trains like all the others. None: no folds.
    """
    n, rng = len(data.train_labels), np.random.RandomState(seed)
    order = rng.permutation(n)
    if not validate:
        held = np.zeros(n, bool)
    elif fold is not None:
        held = folds.assign(data.train_labels, data.groups, fold[0], seed) == fold[1]
    elif data.valid is not None:
        held = np.isin(np.arange(n), data.valid)
    elif data.groups is not None:
        held = hold_out(data.train_labels, data.groups, SHARE, rng)
    else:
        held = np.isin(np.arange(n), order[n - n // 10 :])
    return Split(order[~held[order]], order[held[order]])


def hold_out(
    labels: Integers, groups: Integers, share: float, rng: np.random.RandomState, keep: int = 1
) -> NDArray[np.bool_]:
    """Choose groups at random so that each class gives its share of images, and at least one.

    Without groups of several images, each class gives its share to the image. With them, it comes
    as near to it as the groups that are drawn allow.

    Args:
        labels: Classes ``(N,)``, from 0.
        groups: Numbers ``(N,)``; images of equal ones stay together.
        share: How many images of a class to hold back, from 0 to 1.
        rng: Draws the order in which groups are tried.
        keep: How many groups of each class stay behind at least. A class with no more than these
            gives none.

    Returns:
        True for the images held back, ``(N,)``.
    """
    if not len(labels):
        return np.zeros(0, bool)
    # Groups and classes that meet, sorted by group, and the number of images that are in both.
    _, places = np.unique(groups, return_inverse=True)
    n_class = int(labels.max()) + 1
    met, counts = np.unique(places.ravel() * n_class + labels, return_counts=True)
    n_group = int(places.max()) + 1
    ends = np.searchsorted(met, np.arange(1, n_group + 1) * n_class).tolist()
    starts = [0, *ends[:-1]]
    # Lists, since each step of the loop looks at few numbers.
    classes, sizes = (met % n_class).tolist(), counts.tolist()
    wanted = np.maximum(1, np.rint(share * np.bincount(labels))).astype(int).tolist()
    free = [n - keep for n in np.bincount(classes, minlength=n_class).tolist()]
    held = [0] * n_class
    taken = np.zeros(n_group, bool)

    def may_go(group: int) -> bool:
        return all(free[classes[i]] > 0 for i in range(starts[group], ends[group]))

    def take(group: int) -> None:
        taken[group] = True
        for i in range(starts[group], ends[group]):
            held[classes[i]] += sizes[i]
            free[classes[i]] -= 1

    order = rng.permutation(n_group).tolist()
    for group in order:
        inside = range(starts[group], ends[group])
        missing = [wanted[classes[i]] - held[classes[i]] for i in inside]
        # How much nearer do all classes come to what they shall give?
        nearer = sum(abs(m) - abs(m - sizes[i]) for m, i in zip(missing, inside, strict=True))
        if nearer > 0 and may_go(group):
            take(group)
    # A class of one large group, or whose groups are all shared, may have given none yet.
    for number in range(n_class):
        if not held[number]:
            having = [g for g in order if number in classes[starts[g] : ends[g]] and may_go(g)]
            if having:
                take(min(having, key=lambda g: sum(sizes[starts[g] : ends[g]])))
    return taken[places.ravel()]
