"""The pictures behind preprocessed images."""

import types

import numpy as np
import pytest

from chainer_cifar.data import store
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.preprocess import Mean, Raw, Zca
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import raw_pictures

PICTURES = np.random.RandomState(0).randint(256, size=(30, 3, 32, 32)).astype(np.uint8)
TRAIN, TEST = PICTURES[:24], PICTURES[24:]


@pytest.fixture
def of(tmp_path, monkeypatch):
    """Asks for the pictures of images that were preprocessed so."""
    monkeypatch.chdir(tmp_path)
    store.write_split('image_raw.pkl', *(part.reshape(-1, 3072) for part in (TRAIN, TEST)))

    def ask(fitted):
        images = [fitted(part).reshape(part.shape) for part in (TRAIN, TEST)]
        labels = [np.zeros(len(part), np.int32) for part in (TRAIN, TEST)]
        data = Dataset(images[0], labels[0], images[1], labels[1], ['cat'])
        run = types.SimpleNamespace(
            input_transform=types.SimpleNamespace(preprocessing=fitted),
            config=types.SimpleNamespace(dataset='image.pkl'),
        )
        return raw_pictures.of(run, data)

    return ask


def whitening():
    """Of such a kind; its matrix is a simple one."""
    mean = np.full(3072, 120, np.float32)
    return Zca(mean, np.eye(3072, dtype=np.float32) / 50)


@pytest.mark.parametrize('fitted', [Raw(), Mean(np.float32(120.5)), whitening()])
def test_they_are_found(of, fitted):
    found = of(fitted)
    for part, pictures in ((found.train_images, TRAIN), (found.test_images, TEST)):
        assert part.dtype == np.uint8
        np.testing.assert_array_equal(part, pictures)


def test_the_folder_of_own_pictures(of, tmp_path):
    (tmp_path / 'image_raw.pkl').unlink()
    (tmp_path / 'image_raw').mkdir()
    for part, pictures in (('train', TRAIN), ('test', TEST)):
        np.save(tmp_path / 'image_raw' / f'{part}.npy', pictures)
    assert raw_pictures.beside('image_zca.pkl') == 'image_raw'
    np.testing.assert_array_equal(of(whitening()).test_images, TEST)


def test_other_pictures_beside_the_images(of):
    changed = np.roll(TEST, 1, axis=0).reshape(-1, 3072)
    store.write_split('image_raw.pkl', TRAIN.reshape(-1, 3072), changed)
    with pytest.raises(UserError, match=r'^image_raw\.pkl: not the pictures of image\.pkl; '):
        of(whitening())
