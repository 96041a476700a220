import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from augmented import CIFAR, augmented
from chainer_cifar.data import augment
from chainer_cifar.data.augment import photo, policies
from chainer_cifar.data.augment.affine import nearest_pixel, rotation, translation
from chainer_cifar.data.augment.policies import RandAugment, TrivialAugment
from chainer_cifar.errors import UserError

RAND, TRIVIAL = RandAugment(), TrivialAugment()


def images(n):
    return np.random.RandomState(0).randint(256, size=(n, 3, 32, 32)).astype(np.float32)


def passes(step, n, seed=0):
    """[(operation, index, arguments)] for each pass over n images."""
    choices = iter(step.draw(np.random.RandomState(seed), n, CIFAR))
    drawn = [
        [
            (operation, next(choices), [next(choices) for _ in range(count)])
            for operation, count in policies._OPERATIONS
        ]
        for _ in range(step.passes)
    ]
    assert not list(choices)
    return drawn


@pytest.mark.parametrize('step', [RAND, RandAugment(3, 30), TRIVIAL])
def test_one_image_at_a_time_gives_the_same(step):
    x = images(60)
    result = step.apply(np, x, *step.draw(np.random.RandomState(0), 60, CIFAR))
    expected = x.copy()
    for drawn in passes(step, 60):
        changed = np.concatenate([index for _, index, _ in drawn])
        assert len(set(changed)) == len(changed)  # one operation an image
        for operation, index, arguments in drawn:
            for place, i in enumerate(index):
                one = (argument[place : place + 1] for argument in arguments)
                expected[i] = operation(np, expected[i : i + 1], *one)[0]
    np.testing.assert_allclose(result, expected, atol=1e-3)


@pytest.mark.parametrize('step', [RAND, TRIVIAL])
def test_each_of_fourteen_operations_is_equally_likely(step):
    n = 28000
    for drawn in passes(step, n):
        index = {operation.__name__: index for operation, index, _ in drawn}
        _, _, (brightness, contrast, saturation) = drawn[1]
        matrices = drawn[0][2][0].reshape(-1, 6)
        counts = [
            *(len(index[name]) for name in ('sharpen', 'posterize', 'solarize')),
            *(len(index[name]) for name in ('autocontrast', 'equalize')),
            *(np.sum(each != 1) for each in (brightness, contrast, saturation)),
            np.sum((matrices[:, 1] != 0) & (matrices[:, 3] == 0)),  # shear
            np.sum((matrices[:, 1] == 0) & (matrices[:, 3] != 0)),
            np.sum(matrices[:, 2] != 0),  # shift
            np.sum(matrices[:, 5] != 0),
            np.sum((matrices[:, 1] != 0) & (matrices[:, 3] != 0)),  # rotate
        ]
        # Level 0, 1 of 31, of TrivialAugment does nothing; level 1 shifts by 32 / 30 pixels.
        expected = n / 14
        assert all(0.9 * expected < count < 1.1 * expected for count in counts), counts
        assert abs(n - sum(map(len, index.values())) - expected) < 0.1 * expected  # identity


def strongest(step, seeds=30):
    """The largest of each kind of argument that is drawn."""
    found = {}

    def keep(name, values):
        found[name] = max([found.get(name, 0), *np.abs(values)])

    for seed in range(seeds):
        for drawn in passes(step, 500, seed):
            by_name = {operation.__name__: arguments for operation, _, arguments in drawn}
            (m,) = by_name['nearest_pixel']
            turned = (m[:, 0, 1] != 0) & (m[:, 1, 0] != 0)
            keep('degrees', np.rad2deg(np.arctan2(m[turned, 1, 0], m[turned, 0, 0])))
            keep('shear', m[~turned][:, [0, 1], [1, 0]].ravel())
            keep('shift', m[:, :, 2].ravel())
            for name, factors in zip('bcs', by_name['recolour'], strict=True):
                keep(name, factors - 1)
            keep('sharpen', by_name['sharpen'][0] - 1)
            keep('bits', 8 - by_name['posterize'][0])
            keep('solarize', 255 - by_name['solarize'][0])
    return found


def test_strengths_of_torchvision():
    wide = strongest(TRIVIAL)
    assert wide == pytest.approx(
        {'degrees': 135, 'shear': 0.99, 'shift': 32, 'bits': 6, 'solarize': 255}
        | dict.fromkeys(['b', 'c', 's', 'sharpen'], 0.99),
        rel=1e-5,
    )
    # Of level 9: 0.3 of the strongest; 0.3 x 150 / 331 x 32 pixels, cut off; round(1.2) bits.
    ninth = strongest(RAND, 3)
    assert ninth == pytest.approx(
        {
            'degrees': 9,
            'shear': 0.09,
            'shift': 4,
            'bits': 1,
            'solarize': 0.3 * 255,
        }
        | dict.fromkeys(['b', 'c', 's', 'sharpen'], 0.27),
        rel=1e-5,
    )


def test_shifts_of_larger_images_are_those_of_torchvision():
    # RandAugment's is a share of the image; TrivialAugment's is 32 pixels, of any image.
    for step, expected in ((RandAugment(1, 30), math.trunc(150 / 331 * 96)), (TRIVIAL, 32)):
        _, matrices, *_ = step.draw(np.random.RandomState(0), 9000, (3, 96, 64))
        assert np.abs(matrices[:, 0, 2]).max() == expected
    _, matrices, *_ = TRIVIAL.draw(np.random.RandomState(0), 9000, (3, 8, 8))
    assert np.abs(matrices[:, :, 2]).max() == 8


@pytest.mark.parametrize('step', [RAND, TRIVIAL])
def test_strengths_have_both_signs(step):
    (drawn, *_) = passes(step, 5000)
    (m,), (brightness, *_) = drawn[0][2], drawn[1][2]
    for values in (m[:, 0, 1], m[:, 1, 2], brightness - 1, drawn[2][2][0] - 1):
        values = values[values != 0]
        assert abs((values > 0).mean() - 0.5) < 5 * 0.5 / np.sqrt(len(values))


def test_level_0_changes_nothing_but_contrast():
    x = images(200).clip(max=254)  # of 255, solarize at 255 makes 0, as in torchvision
    (drawn,) = passes(RandAugment(1, 0), 200)
    result = augmented('randaugment(1, 0)', x, np.random.RandomState(0))
    stretched = np.concatenate(
        [
            index
            for operation, index, _ in drawn
            if operation in (photo.autocontrast, photo.equalize)
        ]
    )
    same = np.setdiff1d(np.arange(200), stretched)
    np.testing.assert_allclose(result[same], x[same], atol=1e-3)


@given(
    st.floats(-180, 180),
    st.tuples(*[st.floats(-40, 40)] * 2),
    st.floats(-1, 1),
    st.sampled_from([(32, 32), (7, 12), (1, 3)]),
)
@settings(max_examples=80)
def test_nearest_pixel_is_pillows(angle, shift, shear, shape):
    x = np.random.RandomState(0).randint(1, 255, size=(2, 3, *shape)).astype(np.uint8)
    matrix = rotation(np.array([angle])) @ translation(*np.array(shift)[:, None])
    matrix[:, 0, 1] += shear
    rows = np.repeat(matrix[:, :2].astype(np.float32), 2, axis=0)
    result = nearest_pixel(np, x.astype(np.float32), rows, 0)
    # Pillow takes (column, row) from the corner of the image, positions at the middle of pixels.
    m = matrix[0][[1, 0]][:, [1, 0, 2]]
    middle = (np.array(shape[::-1])) / 2
    offset = middle - m[:, :2] @ middle + m[:, 2]
    coefficients = [*m[0, :2], offset[0], *m[1, :2], offset[1]]
    # Where a position lies between two pixels, rounding decides.
    position = np.einsum('ij,jyx->iyx', m[:, :2], np.indices(shape)[::-1] + 0.5)
    position += offset[:, None, None]
    clear = (np.abs(position - np.rint(position)) > 1e-3).all(axis=0)
    for image, got in zip(x, result, strict=True):
        picture = Image.fromarray(image.transpose(1, 2, 0))
        moved = picture.transform(picture.size, Image.Transform.AFFINE, coefficients)
        expected = np.asarray(moved).transpose(2, 0, 1)
        np.testing.assert_array_equal(got[:, clear], expected[:, clear])


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('randaugment(0)', 'n must be a whole number from 1 to 10'),
        ('randaugment(2, 31)', 'm must be a whole number from 0 to 30'),
        ('randaugment(2, 1.5)', 'm must be a whole number'),
        ('trivialaugment(1)', 'write it as trivialaugment$'),
    ],
)
def test_arguments_that_make_no_sense(text, words):
    with pytest.raises(UserError, match=words):
        augment.create(text)
