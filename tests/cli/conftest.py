"""A small finished run on raw pictures, and commands that run in this process."""

import os
import shutil

import numpy as np
import pytest

import chainer_onednn
from chainer_cifar import cli
from chainer_cifar.data import store
from chainer_cifar.data.preprocess import Raw
from chainer_cifar.data.sources import sources

FLAGS = '-m residual --res_depth 1 -b 20 --iter 2 --save_iter 1 --optimizer adam -p run'
DATA = '-d dataset/image_raw.pkl --normalize unit'


@pytest.fixture(scope='session')
def finished_run(cifar10_folder, tmp_path_factory):
    """A directory with dataset/, models/run and results/run. Not to be changed."""
    folder = tmp_path_factory.mktemp('finished')
    raw = sources['cifar10'](cifar10_folder)
    # 40 of the 200, so that it stays in doubt.
    images = [raw.train_images[:40], raw.test_images]
    dataset = folder / 'dataset'
    dataset.mkdir()
    store.write_split(dataset / 'image_raw.pkl', *(np.reshape(x, (-1, 3072)) for x in images))
    store.write_statistics(dataset / 'image_raw_stats.npz', Raw())
    store.write_split(dataset / 'label.pkl', raw.train_labels[:40], raw.test_labels)
    store.write_class_names(dataset / 'classes.json', raw.class_names)
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert cli.run('train', [*FLAGS.split(), *DATA.split()], 'train.py') == 0
    finally:
        os.chdir(before)
        chainer_onednn.disable()
    return folder


@pytest.fixture
def in_run(finished_run, monkeypatch):
    """Work in the directory of `finished_run`; write elsewhere only."""
    monkeypatch.chdir(finished_run)
    return finished_run


@pytest.fixture
def own_run(finished_run, tmp_path, monkeypatch):
    """Work in a copy of it."""
    shutil.copytree(finished_run, tmp_path / 'own')
    monkeypatch.chdir(tmp_path / 'own')
    return tmp_path / 'own'


@pytest.fixture
def command(capsys):
    """Runs ``command('evaluate', …)`` as a shell would: (exit status, stdout, stderr)."""

    def run(name, *arguments):
        capsys.readouterr()
        try:
            status = cli.run(name, list(map(str, arguments)), f'{name}.py')
        finally:
            chainer_onednn.disable()
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(command):
    """Runs a command that must end with status 2 and one line; the line."""

    def run(name, *arguments):
        status, out, err = command(name, *arguments)
        assert status == 2 and out == '' and err.count('\n') == 1, (status, out, err)
        assert err.startswith(f'{name}.py: error: ')
        return err

    return run
