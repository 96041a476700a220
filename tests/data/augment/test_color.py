import numpy as np
import pytest

from augmented import CIFAR, augmented
from chainer_cifar.data import augment
from chainer_cifar.data.augment.color import ChannelShift, Jitter
from chainer_cifar.errors import UserError


def images(n):
    return np.random.RandomState(0).uniform(20, 220, (n, 3, 32, 32)).astype(np.float32)


def test_adds_and_clips_to_the_range_of_the_image():
    x = images(2)
    x[1] /= 2
    added = np.array([[10, -20, 0], [0, 5, 300]], np.float32)
    result = ChannelShift(300).apply(np, x, added)
    for image, numbers, got in zip(x, added, result, strict=True):
        expected = np.clip(image + numbers[:, None, None], image.min(), image.max())
        np.testing.assert_array_equal(got, expected)
    assert (result[1, 2] == x[1].max()).all() and result.dtype == np.float32


@pytest.mark.parametrize(('shared', 'numbers'), [(0, 3), (1, 1)])
def test_draws_uniformly_for_each_channel_or_for_all(shared, numbers):
    (added,) = ChannelShift(25, shared).draw(np.random.RandomState(0), 10000, CIFAR)
    assert added.shape == (10000, numbers) and added.dtype == np.float32
    assert added.min() < -24.9 and added.max() > 24.9 and np.abs(added).max() <= 25
    assert (np.abs(added.mean(axis=0)) < 5 * 25 / np.sqrt(3 * 10000)).all()
    if not shared:
        assert np.abs(np.corrcoef(added.T)[np.triu_indices(3, 1)]).max() < 0.05


def test_shared_adds_the_same_to_all_channels():
    x = images(4)
    result = augmented('channel_shift(1, shared=1)', x, np.random.RandomState(0))
    inside = ((x > 22) & (x < 218)).all(axis=1)  # far from being clipped
    change = (result - x).transpose(1, 0, 2, 3)[:, inside]
    np.testing.assert_allclose(change[0], change[1], atol=1e-4)
    np.testing.assert_allclose(change[0], change[2], atol=1e-4)
    assert np.abs(change).max() > 0.1


def test_jitter_draws_factors_about_1_and_turns_of_hue():
    drawn = Jitter(0.4, 1.5, 0, 0.1).draw(np.random.RandomState(0), 20000, CIFAR)
    ranges = [(0.6, 1.4), (0, 2.5), (1, 1), (-0.1, 0.1)]
    for values, (low, high) in zip(drawn, ranges, strict=True):
        assert values.shape == (20000,) and values.dtype == np.float32
        assert values.min() == pytest.approx(low, abs=1e-3)
        assert values.max() == pytest.approx(high, abs=1e-3)
        assert abs(values.mean() - (low + high) / 2) <= 5 * (high - low) / np.sqrt(12 * 20000)
    both = np.stack([drawn[0], drawn[1], drawn[3]])
    assert np.abs(np.corrcoef(both)[np.triu_indices(3, 1)]).max() < 0.036


def test_no_jitter_changes_nothing():
    x = images(3)
    result = augmented('jitter(0, 0, 0, 0)', x, np.random.RandomState(0))
    np.testing.assert_allclose(result, x, atol=1e-3)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('channel_shift', r'write it as channel_shift\(limit, shared=0\)'),
        ('channel_shift(-1)', 'limit must be a number from 0'),
        ('jitter(-1)', 'brightness must be a number from 0 to 10'),
        ('jitter(hue=0.6)', 'hue must be a number from 0 to 0.5'),
        ('channel_shift(25, shared=yes)', 'shared must be a whole number from 0 to 1'),
    ],
)
def test_arguments_that_make_no_sense(text, words):
    with pytest.raises(UserError, match=words):
        augment.create(text)
