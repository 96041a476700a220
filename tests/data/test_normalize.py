import numpy as np
import pytest

from chainer_cifar.data import normalize
from chainer_cifar.data.normalize import Normalization, normalizations
from chainer_cifar.errors import UserError
from strict_array import xp as strict


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).integers(0, 256, (5000, 3, 32, 32), np.uint8)


@pytest.mark.parametrize('name', list(normalizations))
def test_each(name, images):
    fitted = normalize.fit(name, images)
    x = images[:4].reshape(4, 3, 32, 32).astype(np.float32)
    before = x.copy()
    y = fitted(np, x)
    assert y.dtype == np.float32 and y.shape == x.shape
    np.testing.assert_array_equal(x, before)
    expected = (before - fitted.mean[:, None, None]) / fitted.std[:, None, None]
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(fitted(strict, strict.asarray(x)).get(), y)


def test_ranges(images):
    ends = np.stack([np.zeros((3, 2, 2)), np.full((3, 2, 2), 255)]).astype(np.float32)
    for name, low, high in (('none', 0, 255), ('unit', 0, 1), ('symmetric', -1, 1)):
        y = normalize.fit(name, images)(np, ends)
        assert y.min() == low and y.max() == high, name


def test_channel_is_mean_and_deviation_of_each_channel(images):
    images = images.copy()
    images[:, 1] //= 2
    images[:, 2] = 7  # without any variation
    fitted = normalize.fit('channel', images)
    planes = images.reshape(-1, 3, 1024).astype(float)
    np.testing.assert_allclose(fitted.mean, planes.mean(axis=(0, 2)), rtol=1e-6)
    np.testing.assert_allclose(fitted.std[:2], planes.std(axis=(0, 2))[:2], rtol=1e-6)
    assert fitted.std[2] == 1
    floats = normalize.fit('channel', images.astype(np.float32))
    np.testing.assert_array_equal(floats.mean, fitted.mean)


@pytest.mark.parametrize('name', normalize.FOR_RAW)
def test_for_raw_images_only(name, images):
    with pytest.raises(UserError, match=f'^{name}: is for raw images; give -d'):
        normalize.fit(name, images.astype(np.float32))


@pytest.mark.parametrize('name', list(normalizations))
def test_grey_and_other_sizes(name, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (50, 1, 20, 10), np.uint8)
    fitted = normalize.fit(name, images)
    assert fitted.mean.shape == fitted.std.shape == (1,)
    assert fitted(np, images.astype('f')).shape == images.shape
    monkeypatch.setattr(normalize, 'CHUNK', 1)  # less than an image has
    np.testing.assert_allclose(normalize.fit(name, images).mean, fitted.mean)
    if name == 'channel':
        np.testing.assert_allclose(fitted.mean, images.mean(), rtol=1e-6)


@pytest.mark.parametrize(('mean', 'std'), [(0, 0), (np.nan, 1), (0, np.inf), ((1, 2), 1)])
def test_numbers_that_make_no_sense(mean, std):
    with pytest.raises(ValueError):
        Normalization(mean, std)
