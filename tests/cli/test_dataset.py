"""src/dataset.py as a user runs it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from chainer_cifar.data import store
from chainer_cifar.data.sources import sources

SCRIPT = pathlib.Path(__file__).parents[2] / 'src' / 'dataset.py'


def test_all(tmp_path, cifar10_folder):
    done = subprocess.run(
        [sys.executable, SCRIPT, '--dir', cifar10_folder],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and done.stderr == '', done.stderr
    out = tmp_path / 'dataset'
    expected = []
    for part in ('', '_zca', '_norm_zca', '_raw'):
        expected += [f'image{part}.pkl', f'image{part}_stats.npz', f'sample{part}.png']
    expected += ['classes.json', 'label.pkl']
    assert sorted(os.listdir(out)) == sorted(expected)
    lines = done.stdout.splitlines()
    assert [
        re.match(r'dataset/(\S+)  \d+\.\d [kM]B  \d+\.\d s$', line)[1] for line in lines
    ] == expected

    raw = sources['cifar10'](cifar10_folder)
    labels = store.read_labels(out / 'label.pkl')
    np.testing.assert_array_equal(labels['train'], raw.train_labels)
    np.testing.assert_array_equal(labels['test'], raw.test_labels)
    assert store.read_class_names(out / 'label.pkl') == list(raw.class_names)
    assert json.loads((out / 'classes.json').read_text())[3] == 'cat'

    for name in ('mean', 'zca', 'norm_zca', 'raw'):
        images = store.read_images(out / store.image_file(name))
        assert images['train'].shape == (200, 3, 32, 32)
        # What was saved treats a picture as dataset.py did.
        again, _ = store.read_statistics(out / store.statistics_file(name))
        rows = images['test'].reshape(40, 3072)
        np.testing.assert_allclose(again(raw.test_images), rows, rtol=1e-4, atol=1e-4)
        with Image.open(out / store.sample_file(name)) as sheet:
            assert sheet.size == (342, 342)

    images = store.read_images(out / 'image.pkl')
    mean = np.float32(raw.train_images.mean(dtype=np.float64))
    np.testing.assert_array_equal(images['test'], raw.test_images.astype(np.float32) - mean)


def test_digits_need_no_download_and_have_a_folder_of_their_own(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'dataset').mkdir()
    (tmp_path / 'dataset' / 'image.pkl').write_bytes(b'CIFAR-10')
    status, _, err = command('dataset', '--source', 'digits', '--only', 'mean')
    assert status == 0, err
    assert sorted(os.listdir(tmp_path / 'dataset' / 'digits')) == [
        'classes.json',
        'image.pkl',
        'image_stats.npz',
        'label.pkl',
        'sample.png',
    ]
    images = store.read_images(tmp_path / 'dataset' / 'digits' / 'image.pkl')
    assert len(images['train']) + len(images['test']) == 1797
    assert abs(images['train'].mean()) < 1e-3
    assert (tmp_path / 'dataset' / 'image.pkl').read_bytes() == b'CIFAR-10'


def test_missing_archive_names_the_download(tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(SCRIPT)])  # by which messages name our commands
    message = refused('dataset')
    assert re.search(r'with: python \S*src/download\.py --set cifar10$', message.rstrip())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--only', 'mean,zac'], "'zac', did you mean 'zca'?"),
        (['--only', ''], 'there are: mean, zca, norm_zca'),
        (['--source', 'cifar'], "did you mean 'cifar10'?"),
        (['--eps', '-1'], '--eps -1.0: must be a number >= 0'),
        (['--eps', 'nan'], '--eps nan: must be a number >= 0'),
        (['--only', 'mean,raw', '--eps', '1'], '--eps: is for whitening; name zca or norm_zca'),
    ],
)
def test_mistyped_flag(tmp_path, refused, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused('dataset', *arguments)


def test_damaged_batch_loses_nothing(tmp_path, cifar10_folder, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'cifar-10-batches-py'
    shutil.copytree(cifar10_folder / folder.name, folder)
    data = (folder / 'data_batch_2').read_bytes()
    (folder / 'data_batch_2').write_bytes(data[: len(data) // 2])
    out = tmp_path / 'dataset'
    out.mkdir()
    (out / 'image.pkl').write_bytes(b'old')
    assert f'{folder / "data_batch_2"}: ' in refused('dataset', '--dir', tmp_path)
    assert os.listdir(out) == ['image.pkl'] and (out / 'image.pkl').read_bytes() == b'old'


def test_out_that_cannot_be_written(tmp_path, cifar10_folder, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'file').touch()
    line = refused('dataset', '--dir', cifar10_folder, '--only', 'mean', '--out', 'file/sub')
    assert 'file/sub/image.pkl: cannot be written: Not a directory' in line


def test_help(command, capsys):
    with pytest.raises(SystemExit, match='0'):
        command('dataset', '--help')
    text = ' '.join(capsys.readouterr().out.split())
    for part in (
        'cifar10, cifar100, digits',
        '(default: mean,zca,norm_zca,raw; raw for your own pictures',
        '(default: 0.1)',
    ):
        assert part in text
    assert 'None' not in text and 'SUPPRESS' not in text
