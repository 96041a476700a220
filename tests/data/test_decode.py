"""Listed pictures become arrays on disk; what cannot be read is passed over; memory stays small."""

import os
import pathlib
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

import own_pictures
from chainer_cifar.data import decode, listing, picture, picture_folder, store
from chainer_cifar.errors import UserError

SHAPE = (3, 16, 24)


def split(folder, **kwargs):
    own_pictures.write(folder, **kwargs)
    return listing.split(picture_folder.read(folder), 0.2, 1)


@pytest.mark.parametrize('jobs', [1, 4, None])
def test_images_are_those_of_the_files(tmp_path, jobs, monkeypatch):
    monkeypatch.setattr(decode, 'WINDOW', 1)  # 64 pictures; there are 75
    pictures = split(tmp_path / 'in', per_class=25)
    with decode.decode(pictures, tmp_path / 'out', SHAPE, 'pad', jobs) as raw:
        assert raw.shape == SHAPE and isinstance(raw.train_images.base, np.memmap)
        assert len(raw.train_images) == 60 and len(raw.test_images) == 15
        files = raw.pictures
        for images, labels, part in (
            (raw.train_images, raw.train_labels, files.train),
            (raw.test_images, raw.test_labels, files.test),
        ):
            for image, label, path in zip(images, labels, part.paths, strict=True):
                np.testing.assert_array_equal(image, picture.read(path, SHAPE, 'pad'))
                assert raw.class_names[label] == path.parent.name
        assert raw.valid is None and len(raw.groups) == 60
        np.testing.assert_array_equal(np.load(files.folder / 'test.npy'), raw.test_images)
    assert not (tmp_path / 'out').exists()


def test_chosen_validation_images(tmp_path):
    for part in ('train', 'valid', 'test'):
        own_pictures.write(tmp_path / 'in' / part, 2)
    pictures = listing.split(picture_folder.read(tmp_path / 'in'), 0.2, 1)
    with decode.decode(pictures, tmp_path / 'out', SHAPE, 'crop') as raw:
        paths = [raw.pictures.train.paths[i] for i in raw.valid]
        assert len(paths) == 6 and all('/valid/' in str(path) for path in paths)


def test_unreadable_pictures_are_told_and_passed_over(tmp_path, capsys):
    pictures = split(tmp_path / 'in')
    first, second = pictures.paths[3], pictures.paths[25]
    second.write_bytes(b'no picture')
    first.write_bytes(first.read_bytes()[:100])
    with decode.decode(pictures, tmp_path / 'out', SHAPE, 'crop') as raw:
        assert len(raw.train_images) + len(raw.test_images) == 28
        assert len(raw.groups) == len(raw.train_labels) == len(raw.train_images)
        assert not {first, second} & {*raw.pictures.train.paths, *raw.pictures.test.paths}
        for image, path in zip(raw.train_images, raw.pictures.train.paths, strict=True):
            np.testing.assert_array_equal(image, picture.read(path, SHAPE))
    err = capsys.readouterr().err
    assert err.startswith('warning: passed over 2 of 30 pictures, the first: ')
    assert err.count('\n') == 1 and 'cannot be read as a picture' in err


def test_too_many_unreadable(tmp_path):
    pictures = split(tmp_path / 'in', per_class=5)
    train = pictures.at(pictures.places('train'))
    for path in train.paths[:3]:
        path.write_bytes(b'')
    with (
        pytest.raises(UserError, match=r"class 'a b' has 1 picture in its train part; it needs 2"),
        decode.decode(pictures, tmp_path / 'out', SHAPE, 'crop'),
    ):
        pass
    for path in pictures.paths:
        path.write_bytes(b'')
    with (
        pytest.raises(UserError, match='none of its pictures for train or test can be read'),
        decode.decode(pictures, tmp_path / 'out', SHAPE, 'crop'),
    ):
        pass
    assert os.listdir(tmp_path) == ['in']


def test_no_room(tmp_path, monkeypatch):
    pictures = split(tmp_path / 'in')
    usage = namedtuple('usage', 'free')
    monkeypatch.setattr(store.shutil, 'disk_usage', lambda folder: usage(30 * 16 * 24 * 3 - 1))
    with (
        pytest.raises(UserError, match=r'out: needs 0 MB .* smaller images with --size'),
        decode.decode(pictures, tmp_path / 'out', SHAPE, 'crop'),
    ):
        pass
    assert os.listdir(tmp_path) == ['in']


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    pictures = split(tmp_path / 'in')

    def write(*given):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(decode, '_write_header', write)
    with (
        pytest.raises(UserError, match='cannot be written: No space left'),
        decode.decode(pictures, tmp_path / 'out', SHAPE, 'crop'),
    ):
        pass
    assert os.listdir(tmp_path) == ['in']


def test_what_an_exception_interrupts_leaves_nothing_behind(tmp_path):
    pictures = split(tmp_path / 'in')
    with pytest.raises(KeyboardInterrupt), decode.decode(pictures, tmp_path / 'o', SHAPE, 'crop'):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ['in']


# Reads, checks, normalizes and gathers 400 MB of images with 100 MB of memory for data.
SMALL_MEMORY = """
import resource, sys
import chainer_cifar, chainer, numpy as np
from chainer_cifar.data import batches, dataset, normalize, split
chainer.get_device('@numpy').use()

def data_memory():
    lines = open('/proc/self/status').read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmData'))

limit = data_memory() + 100 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    np.ones(2**27, np.uint8)
except MemoryError:
    pass
else:
    sys.exit('the limit has no effect here')
data = dataset.load('image_raw', 'label.pkl')
assert data.train_images.nbytes >= 400e6
data.checksum()
normalization = normalize.fit('channel', data.train_images)
images = batches.DeviceImages(
    data.train_images, data.train_labels, chainer.get_device('@numpy'), normalization)
for x, t in images.batches(split.draw(data, 1).valid, 50):
    assert x.shape[1:] == (3, 128, 128) and type(x) is np.ndarray
print('fine')
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='counts memory as Linux does')
def test_images_larger_than_memory(tmp_path):
    rows, shape = 8200, (3, 128, 128)
    folder = tmp_path / 'image_raw'
    folder.mkdir()
    for part, count in (('train', rows), ('test', 10)):
        # Zeros that take no room on the disk.
        file = np.lib.format.open_memmap(folder / f'{part}.npy', 'w+', np.uint8, (count, *shape))
        del file
    labels = np.arange(rows, dtype=np.int32) % 3
    store.write_split(tmp_path / 'label.pkl', labels, labels[:10], group=np.arange(rows))
    source = pathlib.Path(decode.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, '-c', SMALL_MEMORY],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(source), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == 'fine\n', done.stderr
