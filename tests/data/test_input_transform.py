import functools

import numpy as np
import pytest

from chainer_cifar.data import input_transform, store
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import preprocessing
from chainer_cifar.errors import UserError

NORMALIZATION = Normalization((1, 2, 3), (4, 5, 6))


@pytest.fixture(scope='module')
def pictures():
    return np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), np.uint8)


@pytest.fixture(scope='module')
def fit(pictures):
    """Fits a preprocessing to `pictures`, once each: whitening takes seconds."""
    return functools.cache(lambda name: preprocessing[name].fit(pictures, 0.1))


@pytest.mark.parametrize('name', ['mean', 'raw', 'zca'])
def test_is_what_dataset_and_training_did(name, pictures, fit, tmp_path):
    fitted = fit(name)
    store.write_statistics(tmp_path / store.statistics_file(name), name, fitted)
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
