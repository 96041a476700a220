import json
import pickle
import zlib

import numpy as np
import pytest

from chainer_cifar.data import dataset
from chainer_cifar.errors import UserError


def write(folder, n_labels=4, labels=(0, 1, 2, 1), names=None):
    images = {'train': np.ones((4, 3072), np.float32), 'test': np.ones((2, 3072), np.float32)}
    split = {
        'train': np.array(labels[:n_labels], np.int32),
        'test': np.array(labels[:2], np.int32),
    }
    for name, value in (('image', images), ('label', split)):
        (folder / f'{name}.pkl').write_bytes(pickle.dumps(value, protocol=5))
    if names:
        (folder / 'classes.json').write_text(json.dumps(names))
    return folder / 'image.pkl', folder / 'label.pkl'


def test_load_with_names(tmp_path):
    data = dataset.load(*write(tmp_path, names=['a', 'b', 'c', 'd']))
    assert data.n_class == 4 and data.train_images.shape == (4, 3, 32, 32)
    assert data.shape == (3, 32, 32)


def test_load_without_names(tmp_path):
    data = dataset.load(*write(tmp_path))
    assert data.class_names == ['0', '1', '2']


def test_checksum_tells_data_apart(tmp_path):
    first = dataset.load(*write(tmp_path))
    again = dataset.load(*write(tmp_path))
    other = dataset.load(*write(tmp_path, labels=(0, 1, 2, 0)))
    assert first.checksum() == again.checksum() != other.checksum()


def test_the_checksum_is_that_of_all_bytes_together(tmp_path, monkeypatch):
    data = dataset.load(*write(tmp_path))
    whole = zlib.crc32(b''.join(array.tobytes() for array in data[:4]))
    monkeypatch.setattr(dataset, 'CHUNK', 3)
    assert data.checksum() == f'{whole:08x}'


def test_files_that_do_not_fit(tmp_path):
    with pytest.raises(UserError, match=r'label.pkl: 3 train labels for 4 images'):
        dataset.load(*write(tmp_path, n_labels=3))
    with pytest.raises(UserError, match=r'label 2, but classes.json names 2'):
        dataset.load(*write(tmp_path, names=['a', 'b']))


@pytest.mark.parametrize('label', [10**8, 2**31 - 1])
def test_a_wild_label_takes_no_memory(tmp_path, label):
    with pytest.raises(UserError, match=f'label.pkl: label {label}; without classes.json'):
        dataset.load(*write(tmp_path, labels=(0, 1, 2, label)))
