"""Images held back: a share of each class, whole groups, and always the same ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
