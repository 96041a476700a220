"""Operations on colours beside Pillow's, image by image."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from chainer_cifar.data.augment import photo
from strict_array import xp as strict


def pictures(n, size=32, seed=0):
    """uint8: noise, smooth ones, one of few values and one of a single value."""
    rng = np.random.RandomState(seed)
    x = rng.randint(256, size=(n, 3, size, size))
    ramp = np.add.outer(np.arange(size), np.arange(size)) * 100 // size
    x[::2] = (ramp + rng.randint(60, size=(len(x[::2]), 3, 1, 1))).clip(0, 255)
    if n > 2:
        x[1] = rng.randint(3, 5, size=(3, size, size))
    if n > 3:
        x[3] = 77
    return x.astype(np.uint8)


def by_pillow(x, change, *values):
    """Each picture after ``change(image, value, ...)``, uint8."""
    result = [
        np.asarray(change(Image.fromarray(image.transpose(1, 2, 0)), *each))
        for image, *each in zip(x, *values, strict=True)
    ]
    return np.array(result).transpose(0, 3, 1, 2)


def floats(*values):
    return [np.array(value, np.float32) for value in values]


# Pillow rounds to bytes, and the mean grey, too.
@pytest.mark.parametrize(
    ('enhance', 'place', 'error'), [('Brightness', 0, 1), ('Contrast', 1, 2), ('Color', 2, 2)]
)
def test_recolour_is_three_of_pillows_enhancements(enhance, place, error):
    x = pictures(8)
    factor = np.array([0, 0.1, 0.5, 0.9, 1, 1.3, 1.9, 1.99])
    factors = [np.ones(8, np.float32)] * 3
    factors[place] = factor.astype(np.float32)
    result = photo.recolour(np, x.astype(np.float32), *factors)
    expected = by_pillow(x, lambda i, f: getattr(ImageEnhance, enhance)(i).enhance(f), factor)
    assert np.abs(result - expected).max() <= error and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 255


def recoloured_slowly(image, brightness, contrast, saturation, hue):
    """One picture in float64, step by step and pixel by pixel, without cutting off between them."""
    weights = photo.GREY
    image = image.astype(np.float64) * brightness
    mean = np.tensordot(weights, image, 1).mean()
    image = contrast * image + (1 - contrast) * mean
    image = saturation * image + (1 - saturation) * np.tensordot(weights, image, 1)
    to_yiq = np.array([weights, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    result = np.empty_like(image)
    for place in np.ndindex(*image.shape[1:]):
        y, i, q = to_yiq @ image[:, place[0], place[1]]
        colour = complex(i, q) * np.exp(2j * math.pi * hue)
        result[:, place[0], place[1]] = np.linalg.solve(to_yiq, [y, colour.real, colour.imag])
    return result.clip(0, 255)


factor = st.floats(0, 2, width=32)


@given(factor, factor, factor, st.floats(-0.5, 0.5, width=32), st.sampled_from([1, 2, 5]))
@settings(max_examples=40)
def test_recolour_is_one_step_after_another(brightness, contrast, saturation, hue, size):
    x = np.random.RandomState(0).uniform(-20, 280, (2, 3, size, size)).astype(np.float32)
    numbers = (brightness, contrast, saturation, hue)
    result = photo.recolour(np, x, *(np.full(2, number, np.float32) for number in numbers))
    expected = [recoloured_slowly(image, *numbers) for image in x]
    np.testing.assert_allclose(result, expected, atol=0.02)


def test_hue_keeps_grey_and_lightness():
    x = np.random.RandomState(0).uniform(100, 150, (1, 3, 8, 8)).astype(np.float32)
    one = np.ones(1, np.float32)
    (turned,) = photo.recolour(np, x, one, one, one, np.full(1, 0.3, np.float32))
    lightness = np.tensordot(photo.GREY, turned, 1)
    np.testing.assert_allclose(lightness, np.tensordot(photo.GREY, x[0], 1), atol=1e-3)
    assert np.abs(turned - x[0]).max() > 10
    grey = np.full((1, 3, 4, 4), 99, np.float32)
    np.testing.assert_allclose(
        photo.recolour(np, grey, one, one, one, np.full(1, 0.3, np.float32)), grey, atol=1e-3
    )


@pytest.mark.parametrize('size', [3, 32])
def test_sharpen_is_pillows(size):
    x = pictures(8, size)
    factor = np.array([0, 0.1, 0.5, 0.9, 1, 1.3, 1.9, 1.99])
    result = photo.sharpen(np, x.astype(np.float32), factor.astype(np.float32))
    expected = by_pillow(x, lambda i, f: ImageEnhance.Sharpness(i).enhance(f), factor)
    assert np.abs(result - expected).max() <= 2
    np.testing.assert_array_equal(result[4], x[4])


def test_posterize_is_pillows():
    x = pictures(8)
    bits = np.arange(1, 9)
    result = photo.posterize(np, x.astype(np.float32), bits.astype(np.float32))
    expected = by_pillow(x, lambda image, n: ImageOps.posterize(image, int(n)), bits)
    np.testing.assert_array_equal(result, expected)
    # What mean-subtracted bytes have lost in rounding makes no other byte of them.
    again = photo.posterize(np, x.astype(np.float32) - 0.001, bits.astype(np.float32))
    np.testing.assert_array_equal(again, expected)


def test_solarize_is_pillows():
    x = pictures(5)
    threshold = np.array([0, 1, 100, 128, 255])
    result = photo.solarize(np, x.astype(np.float32), threshold.astype(np.float32))
    np.testing.assert_array_equal(result, by_pillow(x, ImageOps.solarize, threshold))


@given(st.integers(1, 6), st.sampled_from([2, 7, 16, 17, 32]), st.integers(0, 9))
@settings(max_examples=40)
def test_autocontrast_and_equalize_are_pillows(n, size, seed):
    x = pictures(n, size, seed)
    result = photo.autocontrast(np, x.astype(np.float32))
    assert np.abs(result - by_pillow(x, ImageOps.autocontrast)).max() < 1.001  # which cuts off
    result = photo.equalize(np, x.astype(np.float32))
    np.testing.assert_array_equal(result, by_pillow(x, ImageOps.equalize))
    assert result.dtype == np.float32


@pytest.mark.parametrize(
    ('operation', 'values'),
    [
        ('recolour', floats([0.5] * 4, [2] * 4, [0] * 4, [0.2] * 4)),
        ('sharpen', floats([0, 1, 0.5, 1.9])),
        ('posterize', floats([2, 3, 8, 4])),
        ('solarize', floats([2, 300, 0, 100])),
        ('autocontrast', []),
        ('equalize', []),
    ],
)
def test_on_a_device_and_on_values_out_of_range(operation, values):
    x = np.random.RandomState(0).uniform(-50, 300, (4, 3, 32, 32)).astype(np.float32)
    kept = x.copy()
    operation = getattr(photo, operation)
    on_host = operation(np, x, *values)
    on_device = operation(strict, strict.asarray(x), *map(strict.asarray, values))
    np.testing.assert_array_equal(on_device.get(), on_host)
    np.testing.assert_array_equal(x, kept)
    assert on_host.min() >= 0 and on_host.max() <= 255 and on_host.shape == x.shape


def test_grey_pictures_are_recoloured_as_colour_ones_that_look_grey():
    x = pictures(6)[:, :1].astype(np.float32)
    factors = np.random.RandomState(0).uniform(0, 2, (4, 6)).astype(np.float32)
    in_colour = photo.recolour(np, x.repeat(3, axis=1), *factors)
    result = photo.recolour(np, x, *factors)
    np.testing.assert_allclose(result.repeat(3, axis=1), in_colour, atol=2e-3)
