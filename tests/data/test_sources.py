"""Sources of pictures: the official form is read, anything else is refused in one line."""

import shutil

import numpy as np
import pytest

from chainer_cifar.data.sources import sources
from chainer_cifar.errors import UserError
from cifar_archive import dump_python2


def test_cifar10(cifar10_folder):
    raw = sources['cifar10'](cifar10_folder)
    assert raw.train_images.shape == (200, 3, 32, 32) and raw.test_images.shape == (40, 3, 32, 32)
    assert raw.train_images.dtype == raw.test_images.dtype == np.uint8
    assert raw.train_labels.dtype == raw.test_labels.dtype == np.int32
    assert np.bincount(raw.train_labels).tolist() == [20] * 10
    assert raw.class_names[0] == 'airplane' and raw.class_names[9] == 'truck'
    # Batches stay in order: the second 40 pictures are those of data_batch_2.
    for i in range(1, 6):
        batch = (cifar10_folder / 'cifar-10-batches-py' / f'data_batch_{i}').read_bytes()
        assert raw.train_images[40 * (i - 1) : 40 * i].tobytes() in batch


def write_cifar100(folder):
    folder = folder / 'cifar-100-python'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, count in (('train', 6), ('test', 4)):
        batch = {
            'data': rng.integers(0, 256, (count, 3072), np.uint8),
            'fine_labels': rng.integers(0, 100, count).tolist(),
            'coarse_labels': rng.integers(0, 20, count).tolist(),
        }
        (folder / name).write_bytes(dump_python2(batch))
    names = {'fine_label_names': [f'class {i}' for i in range(100)], 'coarse_label_names': []}
    (folder / 'meta').write_bytes(dump_python2(names))


def test_cifar100(tmp_path):
    write_cifar100(tmp_path)
    raw = sources['cifar100'](tmp_path)
    assert raw.train_images.shape == (6, 3, 32, 32) and raw.test_labels.shape == (4,)
    expected = np.random.default_rng(0)
    assert raw.train_images.tobytes() == expected.integers(0, 256, (6, 3072), np.uint8).tobytes()
    assert raw.train_labels.tolist() == expected.integers(0, 100, 6).tolist()
    assert len(raw.class_names) == 100 and raw.class_names[99] == 'class 99'


def test_digits_are_the_same_always():
    np.random.seed(1)
    raw = sources['digits']('no folder')
    np.random.seed(2)
    again = sources['digits']('no folder')
    for a, b in zip(raw, again, strict=True):
        np.testing.assert_array_equal(a, b)

    assert len(raw.train_images) + len(raw.test_images) == 1797
    shares = np.bincount(raw.test_labels) / np.bincount(
        np.concatenate([raw.train_labels, raw.test_labels])
    )
    np.testing.assert_allclose(shares, 0.2, atol=0.01)  # of every class
    for images, labels in (raw[0:2], raw[2:4]):
        assert images.dtype == np.uint8 and images.shape == (len(labels), 3, 32, 32)
        assert labels.dtype == np.int32
        assert images.min() == 0 and images.max() == 255
        np.testing.assert_array_equal(images[:, 0], images[:, 2])  # grey
    assert raw.class_names == tuple('0123456789')


def test_digits_still_look_like_the_small_ones():
    from sklearn.datasets import load_digits

    raw = sources['digits'](None)
    first_zero = raw.train_images[0, 0].reshape(8, 4, 8, 4).mean(axis=(1, 3)) * 16 / 255
    assert abs(first_zero - load_digits().images[0]).max() < 3


@pytest.mark.parametrize('source', ['cifar10', 'cifar100'])
def test_missing_folder_names_the_download(tmp_path, source):
    with pytest.raises(UserError, match='no such folder') as error:
        sources[source](tmp_path)
    assert str(error.value).endswith(f'chainer-cifar download --set {source}')


def test_missing_file(tmp_path, cifar10_folder):
    folder = tmp_path / 'cifar-10-batches-py'
    shutil.copytree(cifar10_folder / folder.name, folder)
    (folder / 'data_batch_4').unlink()
    with pytest.raises(UserError, match='data_batch_4: No such file'):
        sources['cifar10'](tmp_path)


DATA = np.zeros((3, 3072), np.uint8)


@pytest.mark.parametrize(
    ('batch', 'message'),
    [
        ({'labels': [1, 2, 3]}, "has no 'data'"),
        ({'data': DATA}, "has no 'labels'"),
        ({'data': [1, 2], 'labels': [1, 2]}, "'data' is not an array of uint8"),
        ({'data': DATA.astype(np.int8), 'labels': [1, 2, 3]}, "'data' is not an array of uint8"),
        ({'data': DATA[:, :-1].copy(), 'labels': [1, 2, 3]}, "'data' has shape"),
        ({'data': DATA.reshape(3, 3, 32, 32), 'labels': [1, 2, 3]}, "'data' has shape"),
        ({'data': DATA[:0], 'labels': []}, "'data' has shape"),
        ({'data': DATA, 'labels': [1, 2]}, "'labels' is not a list of 3"),
        ({'data': DATA, 'labels': 'abc'}, "'labels' is not a list of 3"),
        ({'data': DATA, 'labels': [1, 2, 10]}, "'labels' holds other values than 0 to 9"),
        ({'data': DATA, 'labels': [1, 2, -1]}, "'labels' holds other values than 0 to 9"),
        ({'data': DATA, 'labels': [1, 2, 'x']}, "'labels' holds other values than 0 to 9"),
        ({'data': DATA, 'labels': [1, 2, True]}, "'labels' holds other values than 0 to 9"),
    ],
)
def test_bad_batch(tmp_path, cifar10_folder, batch, message):
    folder = tmp_path / 'cifar-10-batches-py'
    shutil.copytree(cifar10_folder / folder.name, folder)
    (folder / 'data_batch_3').write_bytes(dump_python2(batch))
    with pytest.raises(UserError, match=message) as error:
        sources['cifar10'](tmp_path)
    text = str(error.value)
    assert text.startswith(f'{folder / "data_batch_3"}: ') and '\n' not in text


@pytest.mark.parametrize('meta', [{}, {'label_names': 'abc'}, {'label_names': [1]}])
def test_bad_names(tmp_path, cifar10_folder, meta):
    folder = tmp_path / 'cifar-10-batches-py'
    shutil.copytree(cifar10_folder / folder.name, folder)
    (folder / 'batches.meta').write_bytes(dump_python2(meta))
    with pytest.raises(UserError, match=r'batches\.meta: .*label_names'):
        sources['cifar10'](tmp_path)
