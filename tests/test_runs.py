import os
import pathlib

import pytest

from chainer_cifar import runs
from chainer_cifar.errors import UserError


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


def test_folders():
    folder = runs.RunFolder('set/cnn')
    assert str(folder.results) == 'results/set/cnn' and str(folder.models) == 'models/set/cnn'


@pytest.mark.parametrize(
    'name', ['old', 'models/old', 'models/old/best.npz', 'results/old', './results/old/', 'old/']
)
def test_ways_to_name_a_run(folder, name):
    assert runs.find_weights(name) == pathlib.Path('models/old/best.npz')


def test_other_ways(folder, monkeypatch):
    deep = pathlib.Path('models/set/deep/best.npz')
    for name in ('set/deep', 'results/set/deep', folder / 'results/set/deep'):
        assert runs.find_weights(name) == deep
    for name in ('old/epoch-0001.npz', 'results/old/epoch-0001.npz'):
        assert runs.find_weights(name) == pathlib.Path('models/old/epoch-0001.npz')
    assert runs.find_weights(folder / 'models/old') == folder / 'models/old/best.npz'
    monkeypatch.chdir(folder / 'models/set')
    assert runs.find_weights('deep') == pathlib.Path('deep/best.npz')
    assert runs.find_weights('../old') == pathlib.Path('../old/best.npz')


def test_what_is_there_by_that_name_goes_first(folder):
    pathlib.Path('new').mkdir()  # holds no weights
    assert runs.find_weights('new') == pathlib.Path('models/new/best.npz')
    touch('new/best.npz')
    assert runs.find_weights('new') == pathlib.Path('new/best.npz')
    touch('old')
    assert runs.find_weights('old') == pathlib.Path('old')


def test_nothing_found(folder):
    for name in ('none', 'models/none', 'results/none', 'none.npz', '../old'):
        assert runs.find_weights(name) == pathlib.Path(name)
    assert runs.find_weights('models/begun') == pathlib.Path('models/begun/best.npz')
    os.symlink('circle', 'circle')
    assert runs.find_weights('circle') == pathlib.Path('circle')


def test_runs(folder):
    expected = [pathlib.Path('models', run) for run in ('set/deep', 'new', 'old')]
    assert runs.with_weights() == expected


def test_no_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert runs.with_weights() == []


def test_the_run_of_a_folder(folder):
    deep = runs.RunFolder('set/deep')
    for path in ('models/set/deep', 'results/set/deep', './results/../models/set/deep/'):
        assert runs.containing(path) == deep
    assert runs.containing('results/set/deep', [runs.MODELS]) is None
    assert runs.containing('elsewhere') is None


def test_snapshots_are_ordered_by_their_numbers(folder):
    run = runs.RunFolder('old')
    for name in ('snapshot-00000009.npz', 'snapshot-123456789.npz', 'snapshot-copy.npz'):
        touch(f'models/old/{name}')
    assert run.snapshots() == [run.snapshot(123456789), run.snapshot(9)]


def test_where_there_is_a_run_already(folder):
    run = runs.RunFolder('begun')
    assert run.occupied() is None
    touch(run.snapshot(1))
    assert run.occupied() == run.models
    touch(run.config)
    assert run.occupied() == run.results


def test_what_belongs_to_a_run_is_deleted_and_nothing_else(folder):
    run = runs.RunFolder('old')
    names = ['mine.png', 'report-test.md', 'notes.txt', 'below/log.csv']
    for name in names:
        touch(f'results/old/{name}')
    for path in (run.config, run.log, run.log_json, run.summary, *run.curves):
        touch(path)
    for name in ('report-test.txt', 'report-test.json', 'confusion-valid.png', 'batch-epoch-1.png'):
        touch(f'results/old/{name}')
    for path in (run.snapshot(3), run.epoch_weights(12), run.input_transform, run.lock):
        touch(path)
    touch('models/old/config.json')
    run.delete()
    left = [path for root in (run.results, run.models) for path in root.rglob('*')]
    assert {path for path in left if path.is_file()} == {
        run.lock,
        *(run.results / name for name in names),
    }


@pytest.mark.parametrize(
    'text',
    [
        *('', '[]', '{}', '{"flags": []}', '{"flags": {}, "classes": "ab"}', '[' * 100000),
        *('{"flags": {}, "device": [1]}', '{"flags": {}, "versions": null}'),
        *('{"flags": {}, "resumed": 5}', '{"flags": {}, "resumed": [5]}'),
        *('{"flags": {}, "resumed": [{"flags": {}}]}', '{"flags": {}, "data_checksum": 5}'),
        *('{"flags": {}, "format": "1"}', '{"flags": {}, "format": 99}'),
    ],
)
def test_a_damaged_description(folder, text):
    path = pathlib.Path('config.json')
    path.write_text(text)
    with pytest.raises(UserError, match=r'^config\.json: cannot be read \(.*\); do that$'):
        runs.read_description(path, {'flags'}, 'do that')
