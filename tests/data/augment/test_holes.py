import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augmented import CIFAR
from chainer_cifar.data import augment
from chainer_cifar.data.augment.holes import Cutout, Erase
from chainer_cifar.errors import UserError
from strict_array import xp as strict


def images(n):
    return np.random.RandomState(0).rand(n, 3, 32, 32).astype(np.float32) + 1


def test_erase_draws_rectangles_inside_the_image():
    top, left, bottom, right, value = Erase().draw(np.random.RandomState(0), 5000, CIFAR)
    erased = bottom > top
    assert abs(erased.mean() - 0.5) < 0.036
    assert top.min() == left.min() == 0 and bottom.max() == right.max() == 32
    height, width = (bottom - top)[erased], (right - left)[erased]
    area = height * width / 32**2
    assert area.min() == pytest.approx(0.02, rel=0.2)
    assert area.max() == pytest.approx(0.4, rel=0.05)
    assert (height / width).min() >= 0.25 and (height / width).max() <= 4
    assert np.abs(value).max() <= 2


def test_erase_draws_the_same_from_a_seed():
    *box, value = Erase().draw(np.random.RandomState(3), 4, CIFAR)
    expected = [[0, 0, 14, 9], [0, 0, 1, 21], [0, 0, 26, 32], [0, 0, 21, 31]]
    np.testing.assert_array_equal(box, expected)
    np.testing.assert_allclose(value, [-0.8659, 0.772552, -0.238185, -1.372529], atol=1e-6)


def test_erase_paints_each_row_and_column_about_as_often():
    top, left, bottom, right, _ = Erase(1, 0.04, 0.04, 1).draw(
        np.random.RandomState(0), 5000, CIFAR
    )
    for start, end in ((top, bottom), (left, right)):
        assert (end - start == 6).all()  # of 32; a fifth, rounded
        assert set(start) == set(range(27))
        assert abs((end == 32).mean() - 1 / 27) < 0.014


@pytest.mark.parametrize('side', [1, 2, 4])
def test_erase_paints_a_pixel_at_least(side):
    *box, _ = Erase(1, 0, 0.02).draw(np.random.RandomState(0), 200, (3, side, side))
    x = images(200)[:, :, :side, :side]
    painted = (Erase(1).apply(np, x, *box, np.full(200, 9, np.float32)) != x).sum(axis=(1, 2, 3))
    assert (painted == 3).all()


def test_erase_paints_one_value_over_all_channels():
    x = images(2)
    boxes = np.array([[3, 0], [5, 0], [10, 0], [9, 0]])
    result = Erase().apply(np, x, *boxes, np.array([-1.5, 1], np.float32))
    expected = x.copy()
    expected[0, :, 3:10, 5:9] = x.mean() - 1.5 * x.std()
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def before_rounding(side):
    """The smallest and the largest number that becomes `side` pixels."""
    return np.where(side > 1, side - 0.5, 0), side + 0.5


@given(
    probability=st.floats(0, 1),
    sizes=st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)),
    aspect=st.floats(1, 10),
    noise=st.integers(0, 1),
    size=st.sampled_from([8, 32]),
)
@settings(max_examples=60)
def test_erase_draws_what_it_is_asked_for(probability, sizes, aspect, noise, size):
    step = Erase(probability, min(sizes), max(sizes), aspect, noise)
    top, left, bottom, right, value = step.draw(np.random.RandomState(0), 400, (3, size, size))
    height, width = (bottom - top).astype(float), (right - left).astype(float)
    assert (top >= 0).all() and (left >= 0).all()
    assert (bottom <= size).all() and (right <= size).all()
    erased = height > 0
    assert ((width > 0) == erased).all() and abs(erased.mean() - probability) <= 5 * 0.5 / 20
    height_before, width_before = before_rounding(height[erased]), before_rounding(width[erased])
    assert (height_before[0] * width_before[0] <= max(sizes) * size**2).all()
    assert (height_before[1] * width_before[1] >= min(sizes) * size**2).all()
    assert (height_before[0] <= aspect * width_before[1]).all()
    assert (width_before[0] <= aspect * height_before[1]).all()
    assert len(value) == (3 * (height * width).sum() if noise else 400)
    assert value.dtype == np.float32 and (not len(value) or np.abs(value).max() <= 2)


@pytest.mark.parametrize('shape', [(1, 16, 60), (3, 90, 30)])
def test_erase_draws_rectangles_of_the_proportion_of_the_image(shape):
    channels, h, w = shape
    step = Erase(1, 0.4, 0.4, 1.5, noise=1)  # a square of this area would be too wide
    top, left, bottom, right, value = step.draw(np.random.RandomState(0), 400, shape)
    height, width = bottom - top, right - left
    assert (bottom <= h).all() and (right <= w).all()
    assert np.median(height / width) == pytest.approx(h / w, rel=0.1)
    assert np.mean(height * width) == pytest.approx(0.4 * h * w, rel=0.1)
    assert len(value) == channels * (height * width).sum()


def test_erase_paints_noise_into_the_rectangles_only():
    x = images(40)
    *box, value = Erase(1, noise=1).draw(np.random.RandomState(0), 40, CIFAR)
    result = Erase(1, noise=1).apply(np, x, *box, value)
    expected, used = x.copy(), 0
    for image, *edges in zip(expected, *box, strict=True):
        for channel in image:
            part = channel[edges[0] : edges[2], edges[1] : edges[3]]
            values = value[used : used + part.size].reshape(part.shape)
            part[...] = x.mean() + values * x.std()
            used += part.size
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert used == len(value) and result.dtype == np.float32


def test_erase_noise_on_a_device():
    x, step = images(8), Erase(1, noise=1)
    choices = step.draw(np.random.RandomState(0), 8, CIFAR)
    on_device = step.apply(strict, strict.asarray(x), *map(strict.asarray, choices))
    np.testing.assert_array_equal(on_device.get(), step.apply(np, x, *choices))


@pytest.mark.parametrize('size', [1, 7, 16])
def test_cutout_draws_squares_about_every_pixel_cut_off_at_the_border(size):
    top, left, bottom, right = Cutout(size).draw(np.random.RandomState(0), 20000, CIFAR)
    for start, end in ((top, bottom), (left, right)):
        assert start.min() == 0 and end.max() == 32 and (end - start).max() == size
        whole = end - start == size
        assert abs(whole.mean() - (33 - size) / 32) < 0.018  # five standard deviations
        assert set(start[whole]) == set(range(33 - size))
    assert abs(np.corrcoef(top, left)[0, 1]) < 0.036


def test_cutout_of_even_size_begins_half_of_it_before_the_pixel():
    class Fixed:
        def randint(self, high, size):
            return {(32, 1): np.array([20]), (24, 1): np.array([3])}[high, size]

    top, left, bottom, right = Cutout(8).draw(Fixed(), 1, (3, 32, 24))
    assert (top, left, bottom, right) == (16, 0, 24, 7)


def test_cutout_paints_the_mean_of_each_channel():
    x = images(3) * np.array([1, 10, 100], np.float32)[:, None, None]
    boxes = np.array([[3, 0, 0], [5, 0, 30], [10, 32, 1], [9, 32, 32]])
    result = Cutout(16).apply(np, x, *boxes)
    mean = x.mean(axis=(0, 2, 3))[:, None, None]
    expected = x.copy()
    expected[0, :, 3:10, 5:9] = mean
    expected[1] = mean
    expected[2, :, :1, 30:] = mean
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert result.dtype == np.float32


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('cutout', r'write it as cutout\(size\)'),
        ('cutout(0)', 'size must be a whole number from 1 to 4096'),
        ('cutout(2.5)', 'size must be a whole number'),
        ('erase(2)', 'probability must be a number from 0 to 1'),
        ('erase(1, 0.3, 0.2)', 'most must be a number from 0.3 to 0.5'),
        ('erase(aspect=0.3)', 'aspect must be a number from 1 to 10'),
        ('erase(noise=2)', 'noise must be a whole number from 0 to 1'),
    ],
)
def test_arguments_that_make_no_sense(text, words):
    with pytest.raises(UserError, match=words):
        augment.create(text)


def test_cutout_is_at_most_twice_as_large_as_the_image():
    augment.create('cutout(64)', shape=(3, 32, 48))
    with pytest.raises(UserError, match=r"^'cutout\(65\)': .*size must be a .* from 1 to 64"):
        augment.create('cutout(65)', shape=(3, 48, 32))
