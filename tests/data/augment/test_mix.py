import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augmented import CIFAR, batch_of
from chainer_cifar.data import augment
from chainer_cifar.data.augment.mix import Cutmix, Mixup
from chainer_cifar.errors import UserError


def images(n, size=32):
    return np.random.RandomState(0).rand(n, 3, size, size).astype(np.float32) * 255


@given(
    n=st.integers(1, 9),
    size=st.sampled_from([8, 32]),
    alpha=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_mixup_blends_images_and_labels(n, size, alpha, seed):
    x, step = images(n, size), Mixup(alpha)
    other, share = step.draw(np.random.RandomState(seed), n, (3, size, size))
    assert sorted(other) == list(range(n)) and (share == share[0]).all() and 0 <= share[0] <= 1
    result, labels = augment.create(f'mixup({alpha})')(np, batch_of(x), np.random.RandomState(seed))
    for i in range(n):
        a, b = x[i].astype(np.float64), x[other[i]].astype(np.float64)
        np.testing.assert_allclose(result[i], share[i] * a + (1 - share[i]) * b, rtol=1e-5)
        expected = np.zeros(10)
        expected[i] += share[i]
        expected[other[i]] += 1 - share[i]
        np.testing.assert_allclose(labels[i], expected, atol=1e-6)


@given(
    n=st.integers(1, 9),
    h=st.integers(1, 32),
    w=st.integers(1, 32),
    alpha=st.floats(0.01, 100),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_cutmix_pastes_a_rectangle_and_shares_the_label_by_area(n, h, w, alpha, seed):
    x = images(n, 32)[:, :, :h, :w]
    other, share, *box = Cutmix(alpha).draw(np.random.RandomState(seed), n, (3, h, w))
    assert sorted(other) == list(range(n))
    result, labels = augment.create(f'cutmix({alpha})')(
        np, batch_of(x), np.random.RandomState(seed)
    )
    top, left, bottom, right = (edge[0] for edge in box)
    assert 0 <= top <= bottom <= h and 0 <= left <= right <= w
    for i in range(n):
        expected = x[i].copy()
        expected[:, top:bottom, left:right] = x[other[i], :, top:bottom, left:right]
        np.testing.assert_array_equal(result[i], expected)
        kept = 1 - (bottom - top) * (right - left) / (h * w)
        assert share[i] == pytest.approx(kept) and share.dtype == np.float32
        assert labels[i, i] == pytest.approx(kept if other[i] != i else 1)
        assert labels[i].sum() == pytest.approx(1)


def test_mixup_draws_the_share_from_beta():
    shares = np.array(
        [Mixup(0.5).draw(np.random.RandomState(i), 2, CIFAR)[1][0] for i in range(2000)]
    )
    assert abs(shares.mean() - 0.5) < 5 * np.sqrt(0.125 / 2000)
    assert abs(shares.var() - 0.125) < 0.012  # of Beta(1/2, 1/2)


def test_cutmix_covers_what_the_paper_draws():
    """Less at the border, none at a share of 1: on average what the paper's own lines cover."""

    def papers(rng):
        share = rng.beta(1, 1)
        side = int(32 * np.sqrt(1 - share))
        middle = rng.randint(32, size=2)
        low, high = np.clip(middle - side // 2, 0, 32), np.clip(middle + side // 2, 0, 32)
        return 1 - (high - low).prod() / 1024

    ours = [Cutmix().draw(np.random.RandomState(i), 2, CIFAR)[1][0] for i in range(3000)]
    theirs = [papers(np.random.RandomState(10000 + i)) for i in range(3000)]
    assert abs(np.mean(ours) - np.mean(theirs)) < 5 * np.std(theirs) * np.sqrt(2 / 3000)
    assert abs(np.std(ours) - np.std(theirs)) < 0.02


@pytest.mark.parametrize('name', ['mixup', 'cutmix'])
def test_with_what_probability_a_batch_is_mixed(name):
    x = images(4)
    pipeline = augment.create(f'{name}(1, 0.25)')
    changed = [
        (pipeline(np, batch_of(x), np.random.RandomState(seed))[0] != x).any()
        for seed in range(400)
    ]
    # Some permutations, 1 in 24, and some rectangles change nothing.
    assert 0.13 < np.mean(changed) < 0.35


def test_one_after_the_other_keeps_shares():
    x = images(10)
    _, labels = augment.create('mixup|crop|cutmix')(np, batch_of(x), np.random.RandomState(1))
    assert (np.count_nonzero(labels, axis=1) > 2).any()
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('mixup(0)', 'alpha must be a number from 0.01 to 100'),
        ('cutmix(much)', 'alpha must be a number'),
        ('mixup(1, 2)', 'probability must be a number from 0 to 1'),
        ('cutmix(1, 0.5, 3)', r'write it as cutmix\(alpha=1, probability=1\)'),
    ],
)
def test_arguments_that_make_no_sense(text, words):
    with pytest.raises(UserError, match=words):
        augment.create(text)
