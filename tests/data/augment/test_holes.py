import numpy as np
import pytest

from chainer_cifar.data import augment
from chainer_cifar.data.augment.holes import Cutout, Erase
from chainer_cifar.errors import UserError


def images(n):
    return np.random.RandomState(0).rand(n, 3, 32, 32).astype(np.float32) + 1


def test_erase_draws_rectangles_inside_the_image():
    top, left, bottom, right, value = Erase().draw(np.random.RandomState(0), 5000, 32)
    erased = bottom > top
    assert abs(erased.mean() - 0.5) < 0.036
    assert (top >= 0).all() and (left >= 0).all() and (bottom < 32).all() and (right < 32).all()
    height, width = (bottom - top)[erased], (right - left)[erased]
    area = height * width / 32**2
    assert area.min() > 0.01 and area.max() <= 0.4
    assert (height / width).min() >= 0.25 and (height / width).max() <= 4
    assert np.abs(value).max() <= 2


def test_erase_draws_what_it_always_drew():
    *box, value = Erase().draw(np.random.RandomState(3), 4, 32)
    expected = [[0, 0, 14, 9], [0, 0, 1, 21], [0, 0, 25, 31], [0, 0, 21, 30]]
    np.testing.assert_array_equal(box, expected)
    np.testing.assert_allclose(value, [-0.8659, 0.772552, -0.238185, -1.372529], atol=1e-6)


def test_erase_paints_one_value_over_all_channels():
    x = images(2)
    boxes = np.array([[3, 0], [5, 0], [10, 0], [9, 0]])
    result = Erase().apply(np, x, *boxes, np.array([-1.5, 1], np.float32))
    expected = x.copy()
    expected[0, :, 3:10, 5:9] = x.mean() - 1.5 * x.std()
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize('size', [1, 7, 16])
def test_cutout_draws_squares_about_every_pixel_cut_off_at_the_border(size):
    top, left, bottom, right = Cutout(size).draw(np.random.RandomState(0), 20000, 32)
    for start, end in ((top, bottom), (left, right)):
        assert start.min() == 0 and end.max() == 32 and (end - start).max() == size
        whole = end - start == size
        assert abs(whole.mean() - (33 - size) / 32) < 0.018  # five standard deviations
        assert set(start[whole]) == set(range(33 - size))
    assert abs(np.corrcoef(top, left)[0, 1]) < 0.036


def test_cutout_of_even_size_begins_half_of_it_before_the_pixel():
    class Fixed:
        def randint(self, high, size):
            assert (high, size) == (32, (2, 1))
            return np.array([[20], [3]])

    top, left, bottom, right = Cutout(8).draw(Fixed(), 1, 32)
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
        ('cutout(0)', 'size must be a whole number from 1 to 64'),
        ('cutout(2.5)', 'size must be a whole number'),
        ('erase(0.5)', "'erase\\(0.5\\)': write it as erase$"),
    ],
)
def test_arguments_that_make_no_sense(text, words):
    with pytest.raises(UserError, match=words):
        augment.create(text)
