"""The files between dataset.py and train.py: what is written comes back, the rest is one line."""

import os
import pickle
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainer_cifar.data import preprocess, store
from chainer_cifar.data.preprocess import preprocessing
from chainer_cifar.errors import UserError
from cifar_archive import dump_python2

fuzz = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def images(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3072)).astype(np.float32)


def one_line(error, path):
    text = str(error.value)
    assert text.startswith(f'{path}: ') and '\n' not in text
    return text


def test_images_come_back(tmp_path):
    train, test = images(4), images(2, seed=1)
    store.write_split(tmp_path / 'image.pkl', train, test)
    back = store.read_images(tmp_path / 'image.pkl')
    assert list(back) == ['train', 'test']
    for part, array in (('train', train), ('test', test)):
        np.testing.assert_array_equal(back[part], array.reshape(-1, 3, 32, 32))
        assert back[part].dtype == np.float32 and not back[part].flags.writeable
    # pickle itself reads it too.
    with open(tmp_path / 'image.pkl', 'rb') as file:
        np.testing.assert_array_equal(pickle.load(file)['train'], train)


@pytest.mark.parametrize('dtype', ['<f4', '>f4', '<f8', '<f2'])
def test_images_of_the_original_project(tmp_path, dtype):
    train, test = images(4).astype(dtype), np.asfortranarray(images(2).astype(dtype))
    path = tmp_path / 'image.pkl'
    path.write_bytes(dump_python2({'test': test, 'train': train}))
    back = store.read_images(path)
    for part, array in (('train', train), ('test', test)):
        assert back[part].dtype == np.float32 and back[part].flags.c_contiguous
        np.testing.assert_array_equal(back[part], array.astype('f').reshape(-1, 3, 32, 32))


@pytest.mark.parametrize('dtype', ['<i4', '<i8', '>i8', '|u1'])
def test_labels_of_the_original_project(tmp_path, dtype):
    path = tmp_path / 'label.pkl'
    path.write_bytes(
        dump_python2({'train': np.array([3, 0, 9], dtype), 'test': np.array([1], dtype)})
    )
    back = store.read_labels(path)
    assert [back[part].dtype for part in back] == [np.int32, np.int32]
    assert back['train'].tolist() == [3, 0, 9] and back['test'].tolist() == [1]


def with_value(value):
    array = images(3)
    array[1, 2] = value
    return array


@pytest.mark.parametrize(
    ('train', 'message'),
    [
        (None, "'train' is not an array of bytes or floats"),
        ([1.0], "'train' is not an array of bytes or floats"),
        (np.zeros((2, 3072), np.int8), "'train' is not an array of bytes or floats"),
        (np.zeros((2, 3073), np.float32), r"'train' has shape \(2, 3073\)"),
        (np.zeros((2, 3, 32, 32), np.float32), "'train' has shape"),
        (np.zeros((0, 3072), np.float32), "'train' has shape"),
        (with_value(np.nan), "'train' has values that are not finite"),
        (with_value(np.inf), "'train' has values that are not finite"),
        (with_value(-np.inf), "'train' has values that are not finite"),
        (with_value(0).astype(np.float64) + 1e300, "'train' has values that are not finite"),
    ],
)
@pytest.mark.filterwarnings('error')
def test_bad_images(tmp_path, train, message):
    path = tmp_path / 'image.pkl'
    store.write_split(path, train, images(2))
    with pytest.raises(UserError, match=message) as error:
        store.read_images(path)
    assert 'chainer-cifar dataset' in one_line(error, path)


@pytest.mark.parametrize(
    ('test', 'message'),
    [
        ([1, 2], "'test' is not an array of integers"),
        (np.zeros(2), "'test' is not an array of integers"),
        (np.zeros((2, 1), int), "'test' has shape"),
        (np.zeros(0, int), "'test' has shape"),
        (np.array([0, -1]), "'test' has labels out of range"),
        (np.array([2**31]), "'test' has labels out of range"),
        (np.array([2**63], np.uint64), "'test' has labels out of range"),
    ],
)
def test_bad_labels(tmp_path, test, message):
    path = tmp_path / 'label.pkl'
    store.write_split(path, np.zeros(2, np.int32), test)
    with pytest.raises(UserError, match=message) as error:
        store.read_labels(path)
    one_line(error, path)


@pytest.mark.parametrize(
    ('name', 'command'),
    [
        ('image.pkl', 'chainer-cifar dataset --only mean'),
        ('image_norm_zca.pkl', 'chainer-cifar dataset --only norm_zca'),
        ('mine.pkl', 'chainer-cifar dataset'),
    ],
)
def test_a_missing_file_names_the_command_that_makes_it(tmp_path, name, command):
    path = tmp_path / name
    for read, flag in ((store.read_images, '-d'), (store.read_labels, '-l')):
        with pytest.raises(UserError, match='no such file') as error:
            read(path)
        assert one_line(error, path).endswith(f': {command}, or give its path with {flag}')


@fuzz
@given(cut=st.integers(0, 10**6), flips=st.lists(st.integers(0, 10**6), max_size=5))
def test_damaged_labels_give_labels_or_one_line(tmp_path, cut, flips):
    path = tmp_path / 'label.pkl'
    store.write_split(path, np.arange(9, dtype=np.int32), np.arange(3, dtype=np.int32))
    data = bytearray(path.read_bytes())
    for place in flips:
        data[place // 8 % len(data)] ^= 1 << place % 8
    path.write_bytes(data[: cut % len(data)] if not flips else data)
    try:
        back = store.read_labels(path)
    except UserError as error:
        assert str(error).startswith(f'{path}: ') and '\n' not in str(error)
    else:
        assert flips and {len(back['train']), len(back['test'])} <= set(range(1, 10))


def test_class_names(tmp_path):
    assert store.read_class_names(tmp_path / 'label.pkl') is None
    store.write_class_names(tmp_path / 'classes.json', ('cat', 'Käfer'))
    assert store.read_class_names(tmp_path / 'label.pkl') == ['cat', 'Käfer']


@pytest.mark.parametrize('text', ['', '{', '{"a": 1}', '[1, 2]', '[' * 100_000, '\udcff'])
def test_bad_class_names(tmp_path, text):
    path = tmp_path / 'classes.json'
    path.write_bytes(text.encode('utf-8', 'surrogateescape'))
    with pytest.raises(UserError) as error:
        store.read_class_names(tmp_path / 'label.pkl')
    one_line(error, path)


@pytest.fixture
def small_pictures(monkeypatch):
    monkeypatch.setattr(preprocess, 'PIXELS', 12)
    return np.random.default_rng(0).integers(0, 256, (50, 3, 2, 2), np.uint8)


@pytest.mark.parametrize('name', list(preprocessing))
def test_statistics_come_back(tmp_path, small_pictures, name):
    fitted = preprocessing[name].fit(small_pictures[:40], 1e-5)
    path = tmp_path / store.statistics_file(name)
    store.write_statistics(path, fitted)
    back, _ = store.read_statistics(path)
    assert type(back) is preprocessing[name]
    np.testing.assert_array_equal(back(small_pictures[40:]), fitted(small_pictures[40:]))


@fuzz
@given(
    name=st.sampled_from(list(preprocessing)),
    cut=st.none() | st.integers(0, 10**6),
    flips=st.lists(st.integers(0, 10**6), min_size=1, max_size=5),
)
def test_damaged_statistics_give_statistics_or_one_line(tmp_path, monkeypatch, name, cut, flips):
    with monkeypatch.context() as patch:
        patch.setattr(preprocess, 'PIXELS', 12)
        path = tmp_path / 'image_stats.npz'
        pictures = np.random.default_rng(0).integers(0, 256, (50, 12), np.uint8)
        store.write_statistics(path, preprocessing[name].fit(pictures, 1e-5))
        data = bytearray(path.read_bytes())
        if cut is not None:
            data = data[: cut % len(data)]
        else:
            for place in flips:
                data[place // 8 % len(data)] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            fitted, _ = store.read_statistics(path)
        except UserError as error:
            assert str(error).startswith(f'{path}: ') and '\n' not in str(error)
        else:
            assert np.isfinite(fitted(pictures)).all()


def test_statistics_that_are_something_else(tmp_path):
    path = tmp_path / 'image_stats.npz'
    with pytest.raises(UserError, match='no such file'):
        store.read_statistics(path)
    for write in (
        lambda file: np.save(file, np.zeros(3)),
        lambda file: np.savez(file, mean=np.float32(1)),
        lambda file: np.savez(file, preprocessing='means', mean=np.float32(1)),
        lambda file: np.savez(file, preprocessing='mean', other=np.float32(1)),
        lambda file: np.savez(file, preprocessing='mean', mean=np.zeros(3, np.float32)),
        lambda file: np.savez(file, preprocessing=np.array([None]), mean=np.float32(1)),
        lambda file: pickle.dump({'mean': 1}, file),
    ):
        with open(path, 'wb') as file:
            write(file)
        with pytest.raises(UserError) as error:
            store.read_statistics(path)
        one_line(error, path)


def write_folder(folder, train, test):
    folder.mkdir(exist_ok=True)
    for part, array in (('train', train), ('test', test)):
        np.save(folder / f'{part}.npy', array)
    return folder


def test_a_folder_is_mapped_into_memory(tmp_path):
    train = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 4), np.uint8)
    back = store.read_images(write_folder(tmp_path / 'image_raw', train, train[:2]))
    np.testing.assert_array_equal(back['train'], train)
    np.testing.assert_array_equal(back['test'], train[:2])
    for array in back.values():
        assert type(array) is np.ndarray and isinstance(array.base, np.memmap)
        assert not array.flags.writeable


@pytest.mark.parametrize(
    ('train', 'message'),
    [
        (np.zeros((2, 12), np.uint8), r'holds uint8 \(2, 12\), not uint8'),
        (np.zeros((2, 3, 4, 4), np.float32), 'holds float32'),
        (np.zeros((0, 3, 4, 4), np.uint8), r'holds uint8 \(0, 3, 4, 4\)'),
        (np.zeros((2, 2, 4, 4), np.uint8), r'\(2, 4, 4\) is not the shape of an image'),
        (np.zeros((2, 3, 4, 3000), np.uint8), 'is not the shape of an image'),
        (np.zeros((2, 3, 4, 4), np.uint8, order='F'), 'Fortran'),
        (np.array([[None]]), 'pickle'),
    ],
)
def test_bad_folders(tmp_path, train, message):
    folder = write_folder(tmp_path / 'image_raw', train, np.zeros((2, 3, 4, 4), np.uint8))
    with pytest.raises(UserError, match=message) as error:
        store.read_images(folder)
    one_line(error, folder / 'train.npy')


def test_a_folder_of_two_shapes_or_with_half_a_file(tmp_path):
    images = np.zeros((9, 3, 4, 4), np.uint8)
    folder = write_folder(tmp_path / 'image_raw', images, images[:, :1])
    with pytest.raises(UserError, match='two shapes'):
        store.read_images(folder)
    data = (folder / 'train.npy').read_bytes()
    for size in (0, 5, 100, len(data) - 1):
        (folder / 'train.npy').write_bytes(data[:size])
        with pytest.raises(UserError) as error:
            store.read_images(folder)
        one_line(error, folder / 'train.npy')
    (folder / 'train.npy').unlink()
    with pytest.raises(UserError, match='no such file'):
        store.read_images(folder)


def test_file_names():
    assert [store.image_file(name) for name in ('mean', 'zca', 'norm_zca')] == [
        'image.pkl',
        'image_zca.pkl',
        'image_norm_zca.pkl',
    ]
    assert store.statistics_file('mean') == 'image_stats.npz'
    assert store.statistics_file('norm_zca') == 'image_norm_zca_stats.npz'
    assert [store.sample_file(name) for name in ('mean', 'norm_zca')] == [
        'sample.png',
        'sample_norm_zca.png',
    ]


def test_space_is_asked_for_before_the_work(tmp_path, monkeypatch):
    usage = namedtuple('usage', 'free')
    one_file = 100 * 3072 * 4
    names = ['mean', 'zca']

    monkeypatch.setattr(store.shutil, 'disk_usage', lambda folder: usage(2 * one_file))
    store.require_space(tmp_path / 'not' / 'yet', names, 100)

    monkeypatch.setattr(store.shutil, 'disk_usage', lambda folder: usage(2 * one_file - 1))
    with pytest.raises(UserError, match='needs 2 MB') as error:
        store.require_space(tmp_path, names, 100)
    assert '--only' in one_line(error, tmp_path)

    # The first file replaces its old self, which makes room for the second.
    (tmp_path / 'image.pkl').write_bytes(bytes(one_file))
    store.require_space(tmp_path, names, 100)


def test_pipes_are_not_opened(tmp_path):
    """They would wait for somebody to write."""
    folder = tmp_path / 'image_raw'
    folder.mkdir()
    for path in (folder / 'train.npy', tmp_path / 'classes.json'):
        os.mkfifo(path)
    for read in (store.read_images, store.read_class_names):
        with pytest.raises(UserError, match='is a pipe or a device'):
            read(folder)
