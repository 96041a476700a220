"""The folds of a cross-validation."""

import numpy as np
import pytest

from chainer_cifar.data import folds
from chainer_cifar.errors import UserError


@pytest.mark.parametrize('groups', [None, np.arange(103)])
def test_every_class_is_spread_evenly(groups):
    labels = np.random.default_rng(0).choice(4, 103, p=[0.6, 0.2, 0.15, 0.05])
    found = folds.assign(labels, groups, 5, seed=1)
    for each in (found, *(found[labels == k] for k in range(4))):
        counts = np.bincount(each, minlength=6)[1:]
        assert np.ptp(counts) <= 1, counts
    assert (found == folds.assign(labels, groups, 5, seed=1)).all()
    assert (found != folds.assign(labels, groups, 5, seed=2)).any()


def test_groups_stay_whole_and_classes_nearly_even():
    rng = np.random.default_rng(0)
    groups = rng.permutation(np.repeat(np.arange(60), rng.integers(1, 8, 60)))
    labels = groups % 3
    found = folds.assign(labels, groups, 4, seed=1)
    for group in range(60):
        assert len(set(found[groups == group])) == 1
    for label in range(3):
        counts = np.bincount(found[labels == label], minlength=5)[1:]
        assert np.ptp(counts) <= 7  # the largest group


@pytest.mark.parametrize(
    ('groups', 'told'),
    [(None, '^13: .* 12 training images'), (np.arange(12) // 3, '^5: .* 4 groups of')],
)
def test_more_folds_than_can_get_an_image(groups, told):
    labels = np.arange(12) % 2
    most = 12 if groups is None else 4
    folds.require(labels, groups, most)
    assert set(folds.assign(labels, groups, most, seed=1)) == set(range(1, most + 1))
    with pytest.raises(UserError, match=told):
        folds.require(labels, groups, most + 1)
    with pytest.raises(UserError, match=told):
        folds.assign(labels, groups, most + 1, seed=1)


def test_a_class_smaller_than_the_number_of_folds():
    found = folds.assign(np.array([0] * 10 + [1] * 2), None, 5, seed=1)
    assert len(set(found[10:])) == 2
    assert (np.bincount(found)[1:] >= 2).all()
