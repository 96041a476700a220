"""Divide images into folds for cross-validation: every class evenly, groups whole."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.errors import UserError

Integers = NDArray[np.integer[Any]]


def require(labels: Integers, groups: Integers | None, count: int) -> None:
    """Raise UserError unless each fold gets an image; the arguments are those of `assign`."""
    what = 'training images' if groups is None else 'groups of training images that stay together'
    there = len(labels) if groups is None else len(np.unique(groups))
    if count > there:
        raise UserError(f'{count}: there are only {there} {what}; give no more folds than that')


def assign(labels: Integers, groups: Integers | None, count: int, seed: int) -> NDArray[np.int64]:
    """Give each image the number of its fold, from 1, ``(N,)``.

    Groups, the largest first and else by lot, go where their classes are rarest so far.

    Args:
        labels: Classes ``(N,)``, from 0.
        groups: Numbers ``(N,)``; images of equal ones stay together. None: each is by itself.
        count: How many folds.
        seed: Seed of the lot.

    Raises:
        UserError: There are more folds than images or groups.
    """
    require(labels, groups, count)  # only the training of an empty fold would tell otherwise
    n = len(labels)
    places = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1].ravel()
    by_group = np.argsort(places, kind='stable')
    members = np.split(by_group, np.flatnonzero(np.diff(places[by_group])) + 1)
    order = np.random.RandomState(seed).permutation(len(members))
    order = order[np.argsort([-len(members[g]) for g in order], kind='stable')]
    held = np.zeros((count, int(labels.max()) + 1), np.int64)
    totals = np.zeros(count, np.int64)
    fold = np.zeros(n, np.int64)
    for group in order:
        inside = members[group]
        classes, sizes = np.unique(labels[inside], return_counts=True)
        # Of equally poor folds, the one with the fewest images, then the first.
        rarest = int(np.lexsort((totals, held[:, classes] @ sizes))[0])
        held[rarest, classes] += sizes
        totals[rarest] += len(inside)
        fold[inside] = rarest + 1
    return fold
