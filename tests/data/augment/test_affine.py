import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from augmented import CIFAR, augmented
from chainer_cifar.data import augment
from chainer_cifar.data.augment.affine import (
    Product,
    Rotate,
    Shift,
    Zoom,
    combine,
    interpolate,
    rotation,
    scaling,
    translation,
)
from chainer_cifar.data.augment.borders import FILLS
from chainer_cifar.data.augment.mirror import Mirror
from chainer_cifar.errors import UserError
from strict_array import xp as strict


def images(n, channels=3, height=32, width=32, seed=0):
    x = np.random.RandomState(seed).rand(n, channels, height, width) * 255
    return x.astype(np.float32)


def first_rows(matrices):
    return matrices[:, :2].astype(np.float32)


def by_scipy(image, matrix, fill, value):
    """The image by SciPy, and where the rounding of a position cannot matter."""
    centre = (np.array(image.shape[1:]) - 1) / 2
    linear, offset = matrix[:2, :2], matrix[:2, 2] + centre - matrix[:2, :2] @ centre
    expected = [
        ndimage.affine_transform(
            plane.astype(np.float64), linear, offset, order=1, mode=fill, cval=value
        )
        for plane in image
    ]
    position = np.einsum('ij,jyx->iyx', linear, np.indices(image.shape[1:])) + offset[:, None, None]
    last = 2 * centre[:, None, None]
    if fill == 'constant':  # jumps at the border
        distance = np.minimum(np.abs(position), np.abs(position - last))
    elif fill == 'wrap':  # jumps at every border
        distance = np.abs(position - last * np.round(position / last))
    else:
        distance = np.ones_like(position)
    return np.array(expected), (distance > 1e-4).all(axis=0)


@given(
    angle=st.floats(-180, 180),
    shift=st.tuples(*[st.floats(-40, 40)] * 2),
    zoom=st.tuples(*[st.floats(0.05, 3)] * 2),
    fill=st.sampled_from(FILLS),
    shape=st.sampled_from([(32, 32), (7, 12), (2, 3)]),
)
@settings(max_examples=150)
def test_interpolates_like_scipy(angle, shift, zoom, fill, shape):
    matrix = (
        rotation(np.array([angle]))
        @ translation(*np.array(shift)[:, None])
        @ scaling(*np.array(zoom)[:, None])
    )
    x = images(2, 2, *shape)
    result = interpolate(np, x, np.repeat(first_rows(matrix), 2, axis=0), fill, 7.5)
    for image, got in zip(x, result, strict=True):
        expected, clear = by_scipy(image, matrix[0], fill, 7.5)
        np.testing.assert_allclose(got[:, clear], expected[:, clear], rtol=0, atol=255e-4)


@pytest.mark.parametrize('fill', FILLS)
def test_each_image_has_its_own_matrix(fill):
    x = images(5)
    drawn = Product((Rotate(180), Shift(0.5), Zoom(0.5))).matrices(
        np.random.RandomState(1), 5, CIFAR
    )
    result = interpolate(np, x, first_rows(drawn), fill, -3)
    for image, matrix, got in zip(x, drawn, result, strict=True):
        expected, clear = by_scipy(image, matrix, fill, -3)
        assert clear.mean() > 0.99
        np.testing.assert_allclose(got[:, clear], expected[:, clear], rtol=0, atol=255e-4)


@pytest.mark.parametrize('fill', FILLS)
@pytest.mark.parametrize('steps', [['rotate'], ['shift'], ['zoom'], ['rotate', 'shift', 'zoom']])
def test_nothing_drawn_changes_nothing(steps, fill):
    text = '|'.join(f'{step}(0, fill={fill})' for step in steps)
    x = images(3)
    np.testing.assert_array_equal(augmented(text, x, np.random.RandomState(0)), x)


def test_a_quarter_turn_is_that_of_numpy():
    x = images(3)
    result = interpolate(np, x, first_rows(rotation(np.array([90, -90, 180]))), 'mirror')
    expected = [np.rot90(x[i], k, axes=(1, 2)) for i, k in enumerate([-1, 1, 2])]
    np.testing.assert_allclose(result, expected, rtol=0, atol=0.01)


def test_translation_and_scaling_have_the_direction_they_tell():
    x = images(1)
    shifted = interpolate(np, x, first_rows(translation(np.array([2.0]), np.array([5.0]))))
    np.testing.assert_array_equal(shifted[0, :, :30, :27], x[0, :, 2:, 5:])
    np.testing.assert_array_equal(shifted[0, :, 31], shifted[0, :, 29])  # nearest

    spot = np.zeros((1, 1, 33, 33), np.float32)
    spot[0, 0, 10:23, 10:23] = 1  # 13 x 13 about the centre
    halved = interpolate(np, spot, first_rows(scaling(np.array([2.0]), np.array([1.0]))))
    rows, columns = np.nonzero(halved[0, 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 19, 10, 22)


def test_neighbours_are_one_interpolation():
    x = images(4)
    rng = np.random.RandomState(7)
    matrices = (
        rotation(rng.uniform(-20, 20, 4))
        @ translation(*rng.uniform(-6.4, 6.4, (2, 4)))
        @ scaling(*rng.uniform(0.9, 1.1, (2, 4)))
    )
    result = augmented('rotate(20)|shift(0.2)|zoom(0.1)', x, np.random.RandomState(7))
    np.testing.assert_array_equal(result, interpolate(np, x, first_rows(matrices)))


def test_combine_leaves_the_others_where_they_are():
    steps = [Rotate(1), Zoom(0.1), Mirror(), Shift(0.1), Mirror(), Mirror()]
    one, *others = combine(steps)
    assert one == Product((Rotate(1), Zoom(0.1))) and others == steps[2:]


def test_neighbours_must_fill_alike():
    with pytest.raises(UserError, match=r'must fill alike.*fill=nearest.*fill=reflect'):
        augment.create('mirror|rotate(20, fill=reflect)|shift(0.2)')
    with pytest.raises(UserError, match='value=0 and fill=constant, value=1'):
        augment.create('zoom(0.2, fill=constant, value=1)|shift(0.2, fill=constant)')
    augment.create('rotate(20, fill=reflect)|mirror|shift(0.2)')
    augment.create('rotate(20, fill=wrap)|shift(0.2, fill=wrap)')


def test_rotate_draws_angles_uniformly():
    (matrices,) = Rotate(20).draw(np.random.RandomState(0), 20000, CIFAR)
    assert matrices.shape == (20000, 2, 3) and matrices.dtype == np.float32
    angle = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert_uniform(angle, -20, 20)
    np.testing.assert_allclose(np.linalg.det(matrices[:, :, :2]), 1, atol=1e-6)
    assert not matrices[:, :, 2].any()


@pytest.mark.parametrize(('step', 'limits'), [(Shift(0.2), (6.4, 6.4)), (Shift(0.2, 0), (6.4, 0))])
def test_shift_draws_parts_of_the_size_in_both_directions(step, limits):
    (matrices,) = step.draw(np.random.RandomState(0), 20000, CIFAR)
    assert (matrices[:, :, :2] == np.eye(2)).all()
    assert_uniform(matrices[:, 0, 2], -limits[0], limits[0])
    assert_uniform(matrices[:, 1, 2], -limits[1], limits[1])
    assert abs(matrices[:, :, 2].prod(axis=1).mean()) < 0.5  # independent


def test_shift_is_a_part_of_each_side():
    (matrices,) = Shift(0.5, 0.25).draw(np.random.RandomState(0), 20000, (1, 40, 96))
    assert_uniform(matrices[:, 0, 2], -20, 20)
    assert_uniform(matrices[:, 1, 2], -24, 24)


def test_an_image_of_one_row_is_refused():
    with pytest.raises(UserError, match=r"^'mirror\|zoom\(0.1\)': rotate, shift and zoom are for "):
        augment.create('mirror|zoom(0.1)', shape=(3, 1, 9))


def test_zoom_draws_two_factors():
    (matrices,) = Zoom(0.3).draw(np.random.RandomState(0), 20000, CIFAR)
    rows, columns = matrices[:, 0, 0], matrices[:, 1, 1]
    assert_uniform(rows, 0.7, 1.3)
    assert_uniform(columns, 0.7, 1.3)
    assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.035
    assert not matrices[:, :, 2].any() and not matrices[:, 0, 1].any()


def assert_uniform(values, low, high):
    """All are in the range, and mean and spread are within five standard errors of a uniform's."""
    width = high - low
    assert values.min() >= low - 1e-4 and values.max() <= high + 1e-4
    assert abs(values.mean() - (low + high) / 2) <= 5 * width / math.sqrt(12 * len(values))
    assert abs(values.std() - width / math.sqrt(12)) <= 5 * width / math.sqrt(180 * len(values))


@pytest.mark.parametrize('fill', FILLS)
def test_on_a_device(fill):
    x = images(3)
    (matrices,) = Rotate(90).draw(np.random.RandomState(0), 3, CIFAR)
    on_device = interpolate(strict, strict.asarray(x), strict.asarray(matrices), fill, 5)
    on_host = interpolate(np, x, matrices, fill, 5)
    np.testing.assert_array_equal(on_device.get(), on_host)
    assert on_host.flags.c_contiguous


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('rotate', r"'rotate': write it as rotate\(degrees, fill=nearest, value=0\)"),
        ('rotate(200)', r"'rotate\(200\)': degrees must be a number from 0 to 180"),
        ('rotate(far)', 'degrees must be a number'),
        ('rotate(nan)', 'degrees must be a number'),
        ('shift(0.2, 0.1, 0.1)', r'write it as shift\(vertical, horizontal=none, fill=nearest, '),
        ('shift(-0.2)', 'vertical must be a number from 0 to 1'),
        ('shift(0.2, 3)', 'horizontal must be a number from 0 to 1'),
        ('zoom(1)', 'fraction must be a number from 0 to 0.99'),
        ('zoom(0.1, fill=reflct)', "fill is 'reflct', did you mean 'reflect'"),
        ('zoom(0.1, fill=constant, value=grey)', 'value must be a number'),
    ],
)
def test_arguments_that_make_no_sense(text, words):
    with pytest.raises(UserError, match=words):
        augment.create(text)
