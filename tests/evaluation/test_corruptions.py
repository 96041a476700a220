"""The fifteen corruptions of CIFAR-10-C."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_sample_image

from chainer_cifar.evaluation.corruptions import STRENGTHS, Corruption, corrupt, corruptions

# The paper's settings do not take these farther from the picture at each step. The first strengths
# of elastic_transform move all of it, the last ones bend its details. glass_blur smooths its own
# steps, and the pictures under frost get darker while its ice gets thicker.
BY_DETAIL = {'elastic_transform', 'glass_blur', 'frost'}


@pytest.fixture(scope='module')
def pictures():
    """Pieces of a photograph, uint8 (24, 3, 32, 32)."""
    photograph = load_sample_image('china.jpg')[::2, ::2]
    pieces = [photograph[i // 6 * 45 :, i % 6 * 45 :][:32, :32] for i in range(24)]
    return np.stack(pieces).transpose(0, 3, 1, 2)


@pytest.fixture(scope='module')
def large_pictures():
    """Larger pieces, in grey, uint8 (6, 1, 72, 64)."""
    photograph = load_sample_image('flower.jpg').mean(axis=2).astype(np.uint8)
    pieces = [photograph[i // 3 * 150 :, i % 3 * 150 :][:144:2, :128:2] for i in range(6)]
    return np.stack(pieces)[:, None]


def distance(some, others):
    return np.abs(some.astype(float) - others).mean()


def test_there_are_fifteen():
    assert len(corruptions) == 15
    for each in corruptions.values():
        assert len(each.small) == len(each.large) == STRENGTHS


@pytest.mark.parametrize('name', corruptions)
@pytest.mark.parametrize('strength', [1, 5])
def test_settings_of_other_sizes(name, strength):
    found = corruptions[name]
    small, large = found.small[strength - 1], found.large[strength - 1]
    # Those of the paper, where it has some, and nothing beyond them.
    for size in ((32, 32), (32, 100), (28, 28), (8, 300)):
        assert found.setting(strength, *size) == small
    for size in ((224, 224), (400, 224), (512, 640)):
        assert found.setting(strength, *size) == large
    ends_and_middle = (small, large, found.setting(strength, 128, 200))
    numbers = [each if isinstance(each, tuple) else (each,) for each in ends_and_middle]
    for low, high, half in zip(*numbers, strict=True):
        whole = isinstance(low, int) and isinstance(high, int)
        assert half == pytest.approx((low + high) / 2, abs=0.5 if whole else 1e-9)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, STRENGTHS))
def test_whole_numbers_stay_whole(height, width, strength):
    kind = Corruption(lambda x, setting, rngs: x, [(1, 1.0)] * STRENGTHS, [(4, 4.0)] * STRENGTHS)
    whole, real = kind.setting(strength, height, width)
    assert isinstance(whole, int) and isinstance(real, float)
    assert 1 <= real <= 4 and abs(whole - real) <= 0.5
    more = kind.setting(strength, height + 9, width + 9)
    assert more[0] >= whole and more[1] >= real


@pytest.mark.parametrize('size', ['small', 'large'])
@pytest.mark.parametrize('name', corruptions)
def test_each(name, size, pictures, large_pictures):
    pictures = pictures if size == 'small' else large_pictures
    before = pictures.copy()
    spoilt = [corrupt(pictures, name, strength) for strength in range(1, STRENGTHS + 1)]
    assert (pictures == before).all()
    for each in spoilt:
        assert each.shape == pictures.shape and each.dtype == np.uint8
        # It is still the same picture: nearer to it than to another one.
        assert distance(each, pictures) < 0.9 * distance(each, np.roll(pictures, 1, axis=0))
    away = [distance(each, pictures) for each in spoilt]
    assert away[0] > 0.3
    if name == 'pixelate' and size == 'large':  # it depends on where the squares begin, too
        assert away[:3] == sorted(away[:3]) and min(away[3:]) > max(away[:3])
    elif name not in BY_DETAIL:
        assert away == sorted(away)
    assert (corrupt(pictures, name, 3) == spoilt[2]).all()
    # A picture does not depend on those beside it.
    apart = [corrupt(pictures[i : i + 1], name, 3, first=i) for i in range(0, len(pictures), 5)]
    assert (np.concatenate(apart) == spoilt[2][::5]).all()


def test_strength_by_detail(pictures):
    def unlike(name, strength):
        spoilt = corrupt(pictures, name, strength)
        return 1 - np.corrcoef(spoilt.ravel(), pictures.ravel())[0, 1]

    frost = [unlike('frost', strength) for strength in range(1, 6)]
    assert frost == sorted(frost)
    glass = [unlike('glass_blur', strength) for strength in range(1, 6)]
    assert min(glass[3:]) > max(glass[:3])  # two rounds, and one
    # What of a straight edge is left straight: the second derivative along it is 0.
    edge = np.zeros((8, 3, 32, 32), np.uint8)
    edge[:, :, 16:] = 255
    bent = []
    for strength in range(1, 6):
        spoilt = corrupt(edge, 'elastic_transform', strength)[:, :, 4:-4, 4:-4].astype(float)
        bent.append(np.abs(np.diff(spoilt.sum(axis=2), 2, axis=2)).mean())
    assert max(bent[:2]) < bent[2] < bent[3] < bent[4]


@pytest.mark.parametrize(
    ('side', 'ends', 'steps'),
    [
        (32, (1.06, 1.11, 1.16, 1.21, 1.26), (0.01,) * 5),
        (224, (1.11, 1.16, 1.21, 1.26, 1.31), (0.01, 0.01, 0.02, 0.02, 0.03)),
    ],
)
def test_zoom_blur_is_the_mean_over_the_factors_of_the_papers_code(side, ends, steps, monkeypatch):
    seen = []
    monkeypatch.setattr(
        'chainer_cifar.evaluation.corruptions._zoomed', lambda x, factor: seen.append(factor) or x
    )
    for strength, (end, step) in enumerate(zip(ends, steps, strict=True), 1):
        seen.clear()
        corrupt(np.zeros((1, 3, side, side), np.uint8), 'zoom_blur', strength)
        np.testing.assert_allclose(seen, np.arange(1, end, step))


# radius, softness, and how far the paper's code smooths, for 224x224 pixels
@pytest.mark.parametrize(
    ('strength', 'radius', 'softness', 'near'), [(1, 3, 0.1, 1), (4, 8, 0.5, 1), (5, 10, 0.5, 2)]
)
def test_the_disk_of_defocus_blur_is_that_of_opencv(strength, radius, softness, near):
    point = np.zeros((1, 1, 224, 224))
    point[0, 0, 112, 112] = 1
    found = corruptions['defocus_blur'].apply(point.transpose(0, 2, 3, 1), (radius, softness), ())
    assert corruptions['defocus_blur'].setting(strength, 224, 224) == (radius, softness)
    half = max(8, radius)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    disk = (y**2 + x**2 <= radius**2).astype(float)
    # cv2.GaussianBlur(disk / sum, size, softness): its border is NumPy's reflect.
    padded = np.pad(disk / disk.sum(), near, 'reflect')
    weights = np.exp(-0.5 * (np.arange(-near, near + 1) / softness) ** 2)
    weights = np.outer(weights, weights) / weights.sum() ** 2
    expected = np.zeros_like(disk)
    for i, j in np.ndindex(weights.shape):
        expected += weights[i, j] * padded[i : i + len(disk), j : j + len(disk)]
    around = slice(112 - half, 112 + half + 1)
    np.testing.assert_allclose(found[0, around, around, 0], expected, atol=1e-12)
    assert found.sum() == pytest.approx(expected.sum())


DRAWN = set(corruptions) - {'defocus_blur', 'zoom_blur', 'brightness', 'contrast', 'pixelate'}


@pytest.mark.parametrize('name', sorted(DRAWN - {'jpeg_compression'}))
def test_the_seed_and_the_place_decide(name, pictures):
    found = corrupt(pictures, name, 5)
    assert (found != corrupt(pictures, name, 5, seed=1)).any()
    assert (found != corrupt(pictures, name, 5, first=1)).any()


@pytest.mark.parametrize('shape', [(3, 48, 40), (1, 8, 8), (3, 250, 230)], ids=str)
@pytest.mark.parametrize('name', corruptions)
def test_pictures_of_any_size_and_colour(name, shape):
    for value in (0, 255):
        flat = np.full((1, *shape), value, np.uint8)
        assert corrupt(flat, name, 5).shape == flat.shape


def test_grey_pictures_are_treated_as_coloured_ones_without_colour(large_pictures):
    """But for noise, which differs from channel to channel, and the colour of ice."""
    coloured = large_pictures.repeat(3, axis=1)
    for name in set(corruptions) - {'gaussian_noise', 'shot_noise', 'impulse_noise', 'frost'}:
        found, wanted = corrupt(large_pictures, name, 4), corrupt(coloured, name, 4)
        assert np.abs(found.astype(int) - wanted).max() <= 2, name
    ice = np.abs(corrupt(large_pictures, 'frost', 4).astype(int) - corrupt(coloured, 'frost', 4))
    assert ice.max() <= 25 and ice.mean() < 12


def test_brightness_keeps_the_hue():
    picture = np.array([[100, 50, 0], [0, 0, 0]], np.uint8).T.reshape(1, 3, 1, 2)
    found = corrupt(picture, 'brightness', 5)[0, :, 0]
    assert found[:, 0].tolist() == [176, 88, 0]  # 100 + 0.3 * 255
    assert found[:, 1].tolist() == [76, 76, 76]


def test_share_of_impulse_noise():
    grey = np.full((8, 3, 32, 32), 128, np.uint8)
    found = corrupt(grey, 'impulse_noise', 5)
    assert (found == 0).mean() == pytest.approx(0.035, abs=0.005)
    assert (found == 255).mean() == pytest.approx(0.035, abs=0.005)
