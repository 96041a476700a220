import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainer_cifar.data import augment
from chainer_cifar.data.augment import Crop, Erase, Mirror
from chainer_cifar.errors import UserError
from strict_array import xp as strict


def images(n, seed=0, channels=3, size=32):
    return np.random.RandomState(seed).rand(n, channels, size, size).astype(np.float32) + 1


def shifted(image, down, right):
    """Reference: pixel by pixel."""
    out = np.zeros_like(image)
    _, h, w = image.shape
    for y in range(h):
        for x in range(w):
            if 0 <= y - down < h and 0 <= x - right < w:
                out[:, y, x] = image[:, y - down, x - right]
    return out


@given(st.lists(st.tuples(*[st.integers(-4, 4)] * 2), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_crop_shifts_and_fills_with_zero(shifts):
    x = images(len(shifts), channels=2, size=9)
    down, right = np.array(shifts).T
    result = Crop.apply(np, x, down, right)
    expected = [shifted(*each) for each in zip(x, down, right, strict=True)]
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float32


def test_every_shift_is_reached_and_equally_likely():
    n = 81 * 1000
    down, right = Crop.draw(np.random.RandomState(0), n, 32)
    counts = collections.Counter(zip(down.tolist(), right.tolist(), strict=True))
    assert set(counts) == {(y, x) for y in range(-4, 5) for x in range(-4, 5)}
    # Chi-squared with 80 degrees of freedom: mean 80, standard deviation 12.6.
    chi2 = sum((count - 1000) ** 2 / 1000 for count in counts.values())
    assert chi2 < 80 + 5 * 12.6


def test_mirror_flips_the_chosen_half():
    x = images(2)
    result = Mirror.apply(np, x, np.array([0]))
    np.testing.assert_array_equal(result, [x[0, :, :, ::-1], x[1]])
    (flipped,) = Mirror.draw(np.random.RandomState(0), 10000, 32)
    assert abs(len(flipped) / 10000 - 0.5) < 0.025  # five standard deviations
    assert len(set(flipped)) == len(flipped)


def test_erase_draws_rectangles_inside_the_image():
    top, left, bottom, right, value = Erase.draw(np.random.RandomState(0), 5000, 32)
    erased = bottom > top
    assert abs(erased.mean() - 0.5) < 0.036
    assert (top >= 0).all() and (left >= 0).all() and (bottom < 32).all() and (right < 32).all()
    height, width = (bottom - top)[erased], (right - left)[erased]
    area = height * width / 32**2
    assert area.min() > 0.01 and area.max() <= 0.4
    assert (height / width).min() >= 0.25 and (height / width).max() <= 4
    assert np.abs(value).max() <= 2


def test_erase_paints_one_value_over_all_channels():
    x = images(2)
    boxes = np.array([[3, 0], [5, 0], [10, 0], [9, 0]])
    result = Erase.apply(np, x, *boxes, np.array([-1.5, 1], np.float32))
    expected = x.copy()
    expected[0, :, 3:10, 5:9] = -1.5 * x.std()
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize('name', augment.augmentations)
def test_host_and_device_give_the_same_pictures(name):
    x, pipeline = images(8), augment.create(name)
    on_host = pipeline(np, x, np.random.RandomState(3))
    on_device = pipeline(strict, strict.asarray(x), np.random.RandomState(3))
    np.testing.assert_allclose(on_device.get(), on_host, rtol=1e-6)
    assert on_host.dtype == np.float32 and on_host.shape == x.shape
    assert not np.array_equal(on_host, x)


@pytest.mark.parametrize('text', ['', 'none', ' , '])
def test_none(text):
    x = images(2)
    assert augment.create(text)(np, x, np.random.RandomState(0)) is x


def test_order_is_that_of_the_text():
    x = images(4)
    rng = np.random.RandomState(5)
    expected = Mirror.apply(np, x, *Mirror.draw(rng, 4, 32))
    expected = Crop.apply(np, expected, *Crop.draw(rng, 4, 32))
    result = augment.create('mirror, crop')(np, x, np.random.RandomState(5))
    np.testing.assert_array_equal(result, expected)


def test_unknown_name():
    with pytest.raises(UserError, match="'miror', did you mean 'mirror'"):
        augment.create('crop,miror')
