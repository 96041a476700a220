"""Images held back: a share of each class, whole groups, and always the same ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainer_cifar.data import split
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.split import hold_out


def rng(seed=0):
    return np.random.RandomState(seed)


counts = st.lists(st.integers(2, 60), min_size=1, max_size=6)


@given(counts=counts, share=st.floats(0.01, 0.9), seed=st.integers(0, 9), keep=st.integers(1, 2))
def test_each_class_gives_its_share(counts, share, seed, keep):
    labels = rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    held = hold_out(labels, np.arange(len(labels)), share, rng(seed), keep)
    for label, count in enumerate(counts):
        wanted = min(max(1, round(share * count)), count - keep)
        assert held[labels == label].sum() == wanted
    again = hold_out(labels, np.arange(len(labels)), share, rng(seed), keep)
    np.testing.assert_array_equal(held, again)


@given(data=st.data())
def test_groups_stay_whole_and_each_class_on_both_sides(data):
    pictures = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1))
    labels, groups = np.array(pictures).T
    share, seed = data.draw(st.floats(0.05, 0.5)), data.draw(st.integers(0, 9))
    held = hold_out(labels, groups, share, rng(seed))
    assert not set(groups[held]) & set(groups[~held])
    for label in np.unique(labels):
        inside = labels == label
        assert (~held[inside]).any()
        # Groups of one class each can always be parted.
        alone = all(len(np.unique(labels[groups == g])) == 1 for g in np.unique(groups[inside]))
        if alone and len(np.unique(groups[inside])) > 1:
            assert held[inside].any()


def test_groups_come_as_near_to_the_share_as_they_can():
    labels, groups = np.repeat([0, 1], 100), np.arange(200) // 4
    held = hold_out(labels, groups, 0.15, rng())
    assert [held[labels == label].sum() for label in (0, 1)] == [16, 16]


def test_another_seed_chooses_others():
    labels = np.zeros(100, int)
    a, b = (hold_out(labels, np.arange(100), 0.2, rng(seed)) for seed in (1, 2))
    assert a.sum() == b.sum() == 20 and (a != b).any()


@pytest.mark.parametrize('groups', [[7, 7, 7], [1, 2, 3]])
def test_a_class_with_too_few_groups_gives_none(groups):
    held = hold_out(np.array([0, 0, 0]), np.array(groups), 0.5, rng(), keep=len(set(groups)))
    assert not held.any()


def labelled(labels, **more):
    labels = np.asarray(labels, np.int32)
    return Dataset(None, labels, None, None, [], **more)


def test_split_of_cifar10_is_45000_and_5000():
    data = labelled(np.arange(50000) % 10)
    chosen = split.draw(data, seed=1)
    assert len(chosen.train) == 45000 and len(chosen.valid) == 5000
    assert set(chosen.train) | set(chosen.valid) == set(range(50000))
    np.testing.assert_array_equal(chosen.train, split.draw(data, seed=1).train)
    assert not np.array_equal(chosen.train, split.draw(data, seed=2).train)


def test_split_without_validation():
    data = labelled(np.zeros(50), valid=np.array([3]), groups=np.arange(50))
    chosen = split.draw(data, seed=1, validate=False)
    assert sorted(chosen.train) == list(range(50)) and len(chosen.valid) == 0


def test_split_as_the_user_chose():
    data = labelled(np.zeros(9), valid=np.array([7, 2]), groups=np.arange(9))
    chosen = split.draw(data, seed=1)
    assert sorted(chosen.valid) == [2, 7] and sorted(chosen.train) == [0, 1, 3, 4, 5, 6, 8]
    assert chosen.train.tolist() != sorted(chosen.train)


def test_split_of_few_pictures_has_each_class_on_both_sides():
    labels = np.repeat([0, 1, 2], [3, 40, 101])
    for seed in range(20):
        chosen = split.draw(labelled(labels, groups=np.arange(144)), seed)
        assert np.bincount(labels[chosen.valid]).tolist() == [1, 4, 10]
        assert sorted([*chosen.train, *chosen.valid]) == list(range(144))


def test_split_keeps_groups_whole():
    groups = np.arange(60) // 6
    chosen = split.draw(labelled(np.arange(60) // 30, groups=groups), seed=1)
    assert len(chosen.valid) == 12 and not set(groups[chosen.valid]) & set(groups[chosen.train])
