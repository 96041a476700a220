import os
import pathlib

import pytest

from chainer_cifar.weights import locate


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A directory with four runs, one of them without weights."""
    monkeypatch.chdir(tmp_path)
    for number, run in enumerate(('old', 'new', 'set/deep')):
        touch(f'models/{run}/best.npz')
        os.utime(f'models/{run}/best.npz', (number, number))
        pathlib.Path('results', run).mkdir(parents=True)
    pathlib.Path('models/begun').mkdir()
    touch('models/old/epoch-0001.npz')
    return tmp_path


def touch(name):
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize(
    'name', ['old', 'models/old', 'models/old/best.npz', 'results/old', './results/old/', 'old/']
)
def test_ways_to_name_a_run(folder, name):
    assert locate.find(name) == pathlib.Path('models/old/best.npz')


def test_other_ways(folder, monkeypatch):
    deep = pathlib.Path('models/set/deep/best.npz')
    for name in ('set/deep', 'results/set/deep', folder / 'results/set/deep'):
        assert locate.find(name) == deep
    for name in ('old/epoch-0001.npz', 'results/old/epoch-0001.npz'):
        assert locate.find(name) == pathlib.Path('models/old/epoch-0001.npz')
    assert locate.find(folder / 'models/old') == folder / 'models/old/best.npz'
    monkeypatch.chdir(folder / 'models/set')
    assert locate.find('deep') == pathlib.Path('deep/best.npz')
    assert locate.find('../old') == pathlib.Path('../old/best.npz')


def test_what_is_there_by_that_name_goes_first(folder):
    pathlib.Path('new').mkdir()  # holds no weights
    assert locate.find('new') == pathlib.Path('models/new/best.npz')
    touch('new/best.npz')
    assert locate.find('new') == pathlib.Path('new/best.npz')
    touch('old')
    assert locate.find('old') == pathlib.Path('old')


def test_nothing_found(folder):
    for name in ('none', 'models/none', 'results/none', 'none.npz', '../old'):
        assert locate.find(name) == pathlib.Path(name)
    assert locate.find('models/begun') == pathlib.Path('models/begun/best.npz')
    os.symlink('circle', 'circle')
    assert locate.find('circle') == pathlib.Path('circle')


def test_runs(folder):
    expected = [pathlib.Path('models', run) for run in ('set/deep', 'new', 'old')]
    assert locate.runs() == expected


def test_no_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locate.runs() == []
