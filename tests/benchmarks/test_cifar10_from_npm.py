"""The archive that is made of npm's package, from a package of a few pictures."""

import importlib
import io
import json
import pathlib
import tarfile

import numpy as np
import pytest
from PIL import Image

import cifar_archive
from chainer_cifar.data.sources import sources

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / 'benchmarks'
N = 4  # pictures of a batch
LABELS = [i % 10 for i in range(6 * N)]


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module('cifar10_from_npm')


@pytest.fixture
def pictures():
    """Of all six batches: uint8 (6 N, 3, 32, 32)."""
    return np.random.RandomState(0).randint(0, 256, (6 * N, 3, 32, 32)).astype(np.uint8)


@pytest.fixture
def package(pictures, tmp_path):
    return write_package(tmp_path / 'package.tgz', pictures, LABELS[:-N], LABELS[-N:])


def write_package(path, pictures, train_labels, test_labels):
    files = {
        'train_lables.json': json.dumps(train_labels).encode(),
        'test_lables.json': json.dumps(test_labels).encode(),
    }
    for name, some in zip(cifar_archive.NAMES[:6], np.split(pictures, 6), strict=True):
        file = io.BytesIO()
        Image.fromarray(some.reshape(N, 3, 1024).transpose(0, 2, 1)).save(file, 'PNG')
        files[f'{name}.png'] = file.getvalue()
    path.write_bytes(cifar_archive.pack('package', files))
    return path


def test_the_archive_holds_pictures_and_labels(module, package, pictures, tmp_path, monkeypatch):
    count_as_official(pictures, module, monkeypatch)
    archive = tmp_path / 'cifar-10-python.tar.gz'
    module.main([str(package), str(archive)])
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter='data')
    read = sources['cifar10'](tmp_path)
    np.testing.assert_array_equal(read.train_images, pictures[: 5 * N])
    np.testing.assert_array_equal(read.test_images, pictures[5 * N :])
    assert [*read.train_labels, *read.test_labels] == LABELS
    assert read.class_names[0] == 'airplane' and read.class_names[9] == 'truck'


def count_as_official(pictures, module, monkeypatch):
    values = pictures[: 5 * N].astype(np.float64) / 255
    monkeypatch.setattr(module, 'MEAN', values.mean((0, 2, 3)))
    monkeypatch.setattr(module, 'STD', values.std((0, 2, 3)))


def test_an_archive_that_cannot_be_written_is_named(
    module, package, pictures, tmp_path, monkeypatch, capsys
):
    count_as_official(pictures, module, monkeypatch)
    end_of(module, package, package / 'archive')
    assert f'{package}: File exists; name another archive' in capsys.readouterr().err


def test_other_pictures_are_refused(module, package, tmp_path, capsys):
    end_of(module, package, tmp_path / 'out')
    assert 'holds other pictures' in capsys.readouterr().err


def test_another_package_is_refused(module, pictures, tmp_path, capsys):
    for labels in (LABELS[:-1], LABELS[N:]):
        short = write_package(tmp_path / 'short.tgz', pictures, labels[:-N], labels[-N:])
        end_of(module, short, tmp_path / 'out')
        assert 'is not the package' in capsys.readouterr().err
    with tarfile.open(tmp_path / 'empty.tgz', 'w:gz'):
        pass
    for path in (tmp_path / 'empty.tgz', tmp_path / 'missing.tgz', pathlib.Path(__file__)):
        end_of(module, path, tmp_path / 'out')
        assert f'{path}: is not the package' in capsys.readouterr().err


def end_of(module, package, archive):
    """Run the script, which must refuse the package with exit status 2."""
    with pytest.raises(SystemExit) as end:
        module.main([str(package), str(archive)])
    assert end.value.code == 2 and not archive.exists()
