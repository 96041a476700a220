import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from augmented import CIFAR
from chainer_cifar.data import augment
from chainer_cifar.data.augment.borders import FILLS
from chainer_cifar.data.augment.crop import Crop
from chainer_cifar.errors import UserError
from strict_array import xp as strict


def images(n, channels=3, size=32):
    return np.random.RandomState(0).rand(n, channels, size, size).astype(np.float32) + 1


@given(
    st.lists(st.tuples(*[st.integers(-4, 4)] * 2), min_size=1, max_size=4), st.sampled_from(FILLS)
)
@settings(max_examples=50)
def test_shifts_and_fills_like_scipy(shifts, fill):
    x = images(len(shifts), channels=2, size=9)
    result = Crop(4, fill, 0.25).apply(np, x, *np.array(shifts).T)
    expected = [
        ndimage.shift(image, (0, *shift), order=0, mode=fill, cval=0.25)
        for image, shift in zip(x, shifts, strict=True)
    ]
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == np.float32


@pytest.mark.parametrize(('fill', 'numpys'), [('mirror', 'reflect'), ('reflect', 'symmetric')])
def test_fill_mirror_is_what_numpy_calls_reflect(fill, numpys):
    x = images(1, size=9)
    padded = np.pad(x, [(0, 0), (0, 0), (3, 3), (3, 3)], numpys)
    result = Crop(3, fill).apply(np, x, np.array([3]), np.array([-2]))
    np.testing.assert_array_equal(result, padded[:, :, :9, 5:14])


@pytest.mark.parametrize('fill', FILLS)
def test_on_a_device(fill):
    x, crop = images(5), Crop(2, fill, 3)
    choices = crop.draw(np.random.RandomState(0), 5, CIFAR)
    on_device = crop.apply(strict, strict.asarray(x), *map(strict.asarray, choices))
    np.testing.assert_array_equal(on_device.get(), crop.apply(np, x, *choices))


@pytest.mark.parametrize('margin', [2, 4])
def test_every_shift_is_reached_and_equally_likely(margin):
    cells = (2 * margin + 1) ** 2
    down, right = Crop(margin).draw(np.random.RandomState(0), cells * 1000, CIFAR)
    counts = collections.Counter(zip(down.tolist(), right.tolist(), strict=True))
    reach = range(-margin, margin + 1)
    assert set(counts) == {(y, x) for y in reach for x in reach}
    # Chi-squared with cells - 1 degrees of freedom.
    chi2 = sum((count - 1000) ** 2 / 1000 for count in counts.values())
    assert chi2 < cells - 1 + 5 * np.sqrt(2 * (cells - 1))


def test_default_draws_what_it_always_drew():
    down, right = Crop().draw(np.random.RandomState(3), 6, CIFAR)
    assert down.tolist() == [4, -1, 4, 4, -4, 1] and right.tolist() == [-1, 1, 3, 2, -4, 0]


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('crop(4.5)', 'margin must be a whole number from 0 to 2048'),
        ('crop(2049)', 'margin must be a whole number'),
        ('crop(-1)', 'margin must be a whole number'),
        ('crop(2, mirrored)', "fill is 'mirrored', did you mean 'mirror'"),
        ('crop(2, constant, inf)', 'value must be a number'),
    ],
)
def test_arguments_that_make_no_sense(text, words):
    with pytest.raises(UserError, match=words):
        augment.create(text)


def test_margin_is_at_most_the_smaller_side():
    augment.create('mirror|crop(40)', shape=(3, 40, 96))
    with pytest.raises(UserError, match=r"^'crop\(33\)': .*margin must be a .* from 0 to 32"):
        augment.create('crop(33)', shape=CIFAR)


@pytest.mark.parametrize('shape', [(3, 1, 9), (3, 9, 1)])
@pytest.mark.parametrize('fill', FILLS)
def test_images_one_pixel_wide(fill, shape):
    text = f'crop(1, {fill})'
    if fill in ('mirror', 'wrap'):
        with pytest.raises(UserError, match=rf'fill {fill} is for images of 2x2 pixels and more'):
            augment.create(text, shape=shape)
        return
    augment.create(text, shape=shape)
    x = np.random.RandomState(0).rand(2, *shape).astype(np.float32)
    assert Crop(1, fill).apply(np, x, *np.array([[1, -1], [1, 0]])).shape == x.shape
