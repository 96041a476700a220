import functools

import numpy as np
import pytest

from chainer_cifar.data import input_transform, store
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import PIXELS, Raw, Zca, preprocessing
from chainer_cifar.errors import UserError

NORMALIZATION = Normalization((1, 2, 3), (4, 5, 6))


@pytest.fixture(scope='module')
def pictures():
    return np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), np.uint8)


@pytest.fixture(scope='module')
def fit(pictures):
    """Fits a preprocessing to `pictures`; whitening has numbers drawn, as to fit it takes long."""

    @functools.cache
    def fit(name):
        kind = preprocessing[name]
        if not issubclass(kind, Zca):
            return kind.fit(pictures, 0.1)
        rng = np.random.default_rng(1)
        mean, matrix = rng.normal(120, 9, PIXELS), rng.normal(size=(PIXELS, PIXELS))
        return kind(mean.astype(np.float32), matrix.astype(np.float32))

    return fit


@pytest.mark.parametrize('name', ['mean', 'raw', 'zca'])
def test_is_what_dataset_and_training_did(name, pictures, fit, tmp_path):
    fitted = fit(name)
    store.write_statistics(tmp_path / store.statistics_file(name), fitted)
    transform = input_transform.from_dataset(tmp_path / store.image_file(name), NORMALIZATION)
    transform.write(tmp_path / 'i.npz')
    treated = input_transform.read(tmp_path / 'i.npz')(pictures)
    stored = fitted(pictures).astype(np.float32).reshape(-1, 3, 32, 32)
    assert treated.dtype == np.float32
    np.testing.assert_array_equal(treated, NORMALIZATION(np, stored))


@pytest.mark.parametrize('name', preprocessing)
def test_black_is_the_value_of_a_black_pixel(name, fit):
    fitted = fit(name)
    black = input_transform.InputTransform(fitted, NORMALIZATION).black
    if 'zca' in name:
        assert black is None
    else:
        flat = np.array([[[[0]]], [[[255]]]], np.uint8) + np.zeros((1, 3, 32, 32), np.uint8)
        np.testing.assert_allclose(fitted(flat)[:, 0], [black, black + 255], rtol=1e-6)


def test_images_without_statistics(pictures, tmp_path):
    transform = input_transform.from_dataset(tmp_path / 'image.pkl', NORMALIZATION)
    assert transform.black is None
    transform.write(tmp_path / 'input.npz')
    found = input_transform.read(tmp_path / 'input.npz')
    np.testing.assert_array_equal(found.normalization.std, NORMALIZATION.std)
    with pytest.raises(UserError, match='had no statistics'):
        found(pictures)


def test_shape_and_fit_come_back(tmp_path):
    store.write_statistics(tmp_path / 'image_raw_stats.npz', Raw(), 'pad')
    grey = Normalization(5, 2, channels=1)
    transform = input_transform.from_dataset(tmp_path / 'image_raw', grey, (1, 48, 64))
    transform.write(tmp_path / 'i.npz')
    found = input_transform.read(tmp_path / 'i.npz')
    assert (found.shape, found.fit) == ((1, 48, 64), 'pad')
    pictures = np.full((2, 1, 48, 64), 9, np.uint8)
    np.testing.assert_array_equal(found(pictures), np.full((2, 1, 48, 64), 2, np.float32))


def test_a_file_of_earlier_versions_is_of_squares_of_32(tmp_path):
    path = tmp_path / 'input.npz'
    numbers = {'normalization/mean': np.zeros(3), 'normalization/std': np.ones(3)}
    np.savez(path, preprocessing=np.array('raw'), **numbers)
    found = input_transform.read(path)
    assert (found.shape, found.fit) == ((3, 32, 32), 'crop')
    for wrong in ({'shape': np.array([2, 32, 32])}, {'fit': np.array('stretch')}):
        np.savez(path, **numbers, **wrong)
        with pytest.raises(UserError, match='damaged'):
            input_transform.read(path)


def test_missing_and_damaged(tmp_path):
    path = tmp_path / 'input.npz'
    with pytest.raises(UserError, match='no such file'):
        input_transform.read(path)
    path.write_bytes(b'PK\x03\x04 and no more')
    with pytest.raises(UserError, match='damaged'):
        input_transform.read(path)
    np.savez(path, **{'normalization/mean': np.zeros(3), 'normalization/std': np.zeros(3)})
    with pytest.raises(UserError, match='damaged'):
        input_transform.read(path)
