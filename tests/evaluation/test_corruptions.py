"""The fifteen corruptions of CIFAR-10-C."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from chainer_cifar.evaluation.corruptions import STRENGTHS, corrupt, corruptions

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


def distance(some, others):
    return np.abs(some.astype(float) - others).mean()


def test_there_are_fifteen():
    assert len(corruptions) == 15
    assert all(len(each.settings) == STRENGTHS for each in corruptions.values())


@pytest.mark.parametrize('name', corruptions)
def test_each(name, pictures):
    before = pictures.copy()
    spoilt = [corrupt(pictures, name, strength) for strength in range(1, STRENGTHS + 1)]
    assert (pictures == before).all()
    for each in spoilt:
        assert each.shape == pictures.shape and each.dtype == np.uint8
        # It is still the same picture: nearer to it than to another one.
        assert distance(each, pictures) < 0.9 * distance(each, np.roll(pictures, 1, axis=0))
    away = [distance(each, pictures) for each in spoilt]
    assert away[0] > 0.3
    if name not in BY_DETAIL:
        assert away == sorted(away)
    assert (corrupt(pictures, name, 3) == spoilt[2]).all()
    # A picture does not depend on those beside it.
    apart = [corrupt(pictures[i : i + 1], name, 3, first=i) for i in range(0, 24, 5)]
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


DRAWN = set(corruptions) - {'defocus_blur', 'zoom_blur', 'brightness', 'contrast', 'pixelate'}


@pytest.mark.parametrize('name', sorted(DRAWN - {'jpeg_compression'}))
def test_the_seed_and_the_place_decide(name, pictures):
    found = corrupt(pictures, name, 5)
    assert (found != corrupt(pictures, name, 5, seed=1)).any()
    assert (found != corrupt(pictures, name, 5, first=1)).any()


@pytest.mark.parametrize('name', corruptions)
def test_pictures_of_any_size_and_colour(name):
    for value in (0, 255):
        flat = np.full((2, 3, 48, 40), value, np.uint8)
        assert corrupt(flat, name, 5).shape == flat.shape


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
