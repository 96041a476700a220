import json
import os
import pathlib
import shutil

import chainer
import numpy as np
import pytest

import damage
from chainer_cifar.data import dataset, input_transform
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import Mean, Raw
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import trained
from chainer_cifar.nets import create

RUN = pathlib.Path('models/run')
CHAINER = {'cpu_engine': 'chainer'}


def refused(path=RUN, flags=None):
    with pytest.raises(UserError) as error:
        trained.load(path, flags or CHAINER)
    assert '\n' not in str(error.value)
    return str(error.value)


def test_net_names_transform_and_flags(saved):
    net = saved('residual', res_depth=1, seed=5, checksum='abc')
    # Running means and variances are part of the weights.
    net(np.random.randn(8, 3, 32, 32).astype(np.float32))
    chainer.serializers.save_npz(RUN / 'best.npz', net)
    x = np.random.RandomState(0).randint(256, size=(4, 3, 32, 32)).astype(np.uint8)
    for path in (RUN, str(RUN), RUN / 'best.npz'):
        model = trained.load(path, CHAINER)
        assert model.weights == RUN / 'best.npz' and model.class_names == ['cat', 'dog', 'ship']
        assert (model.config.seed, model.config.res_depth) == (5, 1)
        assert model.data_checksum == 'abc'
        with chainer.using_config('train', False):
            expected = net(x.astype(np.float32) / 255).array
            np.testing.assert_array_equal(model.net(model.input_transform(x)).array, expected)


def test_given_flags_win(saved):
    saved()
    model = trained.load(RUN, {**CHAINER, 'batch_size': 7, 'dataset': 'other.pkl'})
    assert (model.config.batch_size, model.config.dataset) == (7, 'other.pkl')
    assert model.config.label == 'dataset/label.pkl'
    assert '--batch_size 0' in refused(flags={'batch_size': 0})


def test_a_resumed_run_has_the_flags_of_now(saved):
    saved()
    path = RUN / 'config.json'
    description = json.loads(path.read_text())
    later = {**description['flags'], 'dataset': 'moved/image.pkl', 'iter': 400}
    description['resumed'] = [{'flags': later, 'versions': {}, 'device': {}}]
    path.write_text(json.dumps(description))
    config = trained.load(RUN, CHAINER).config
    assert (config.dataset, config.iter) == ('moved/image.pkl', 400)


@pytest.mark.parametrize('of_training', [{'processes': 4}, {'accumulate': 8}])
def test_a_batch_of_another_size_than_processes_and_parts_share(saved, of_training):
    saved(**of_training)
    model = trained.load(RUN, {**CHAINER, 'batch_size': 5})
    assert model.config.batch_size == 5
    # Those of the run, for its first batch and its ONNX file.
    assert model.replaced.items() >= {'batch_size': 100, **of_training}.items()


def test_other_input(saved):
    saved()  # raw images, --normalize unit
    path = RUN / 'best.npz'
    mean = Mean(np.float32(1))
    assert trained.other_input(path, Raw(), 'unit') == []
    assert trained.other_input(path, mean, 'unit') == ['preprocessing raw, not mean']
    assert trained.other_input(path, Raw(), 'channel') == ['--normalize unit, not channel']
    assert len(trained.other_input(path, mean, 'none')) == 2
    assert trained.other_input(path, None, 'unit') == []  # not known


def test_other_input_of_runs_of_earlier_versions(saved):
    saved()
    path, described = RUN / 'best.npz', RUN / 'config.json'
    input_transform.InputTransform(None, Normalization(0, 255)).write(RUN / 'input.npz')
    assert trained.other_input(path, Raw(), 'unit') == []
    description = json.loads(described.read_text())
    del description['flags']['normalize']
    described.write_text(json.dumps(description))
    assert trained.other_input(path, Raw(), 'none') == []
    (RUN / 'input.npz').write_bytes(b'PK')
    with pytest.raises(UserError, match=r'input\.npz: damaged'):
        trained.other_input(path, Raw(), 'channel')
    (RUN / 'input.npz').unlink()
    assert trained.other_input(path, Raw(), 'channel') == []


def test_where_results_go(saved, monkeypatch):
    saved()
    for name in (RUN, 'run', 'results/run'):
        model = trained.load(name, CHAINER)
        assert model.results == pathlib.Path('results/run')
    assert model.name('report', 'test') == 'report-test'
    RUN.rename('models/better')
    assert trained.load('models/better', CHAINER).results == pathlib.Path('results/better')
    pathlib.Path('models/better').rename('copied')
    pathlib.Path('copied/best.npz').rename('copied/epoch-0010.npz')
    model = trained.load('copied/epoch-0010.npz', CHAINER)
    assert model.results == pathlib.Path('results/run')
    assert model.name('report', 'test') == 'report-test-epoch-0010'


@pytest.mark.parametrize('name', ['best.npz', 'config.json', 'input.npz'])
def test_a_file_is_missing_or_damaged(saved, name):
    saved()
    content = (RUN / name).read_bytes()
    for damaged in (b'', b'{}', b'[]', content[: len(content) // 2]):
        (RUN / name).write_bytes(damaged)
        assert name in refused()
    (RUN / name).unlink()
    assert f'{name}: no such file' in refused()


def test_no_run(tmp_path):
    assert 'no such file' in refused(tmp_path)
    assert 'no such file' in refused(tmp_path / 'none' / 'best.npz')


def test_names_the_newest_runs(saved):
    saved()
    for number in range(6):
        folder = pathlib.Path('models', f'run{number}')
        shutil.copytree(RUN, folder)
        os.utime(folder / 'best.npz', (number, number))
    shutil.rmtree(RUN)
    runs = ', '.join(f'models/run{number}' for number in (5, 4, 3, 2, 1))
    assert refused('runn') == f'runn: no such file; give the weights of a run, such as {runs}'
    assert trained.load('run3', CHAINER).weights == pathlib.Path('models/run3/best.npz')


@pytest.mark.parametrize('name', ['many', 'results/many', 'models/many'])
def test_a_run_with_several_seeds_has_no_weights_of_its_own(saved, name):
    saved()
    shutil.copytree(RUN, 'models/many/seed2')
    pathlib.Path('results/many').mkdir(parents=True)
    pathlib.Path('results/many/seeds.json').write_text('{}')
    line = refused(name)
    assert line.startswith(f'{name}: is a run with several seeds or folds')
    assert line.endswith('such as models/many/seed2')


def test_a_snapshot_has_weights_too(saved):
    net = saved()
    with np.load(RUN / 'best.npz') as weights:
        arrays = {f'updater/model:main/predictor/{name}': weights[name] for name in weights.files}
    np.savez(RUN / 'snapshot-00000001.npz', config='{}', **arrays)
    model = trained.load(RUN / 'snapshot-00000001.npz', CHAINER)
    np.testing.assert_array_equal(model.net.dense_2.W.array, net.dense_2.W.array)
    assert model.name('report') == 'report-snapshot-00000001'


@pytest.mark.parametrize(
    ('other', 'word'),
    [
        (lambda: create('simple_gap', 3), "'dense_1/W' must have shape (100, 5880)"),
        (lambda: create('simple', 4), 'it has shape (4'),
        (lambda: create('resnet164', 3, res_depth=1), 'there is none there'),
    ],
)
def test_weights_of_another_net(saved, other, word):
    saved()
    chainer.serializers.save_npz(RUN / 'best.npz', other())
    line = refused()
    assert word in line and "net 'simple'" in line


@pytest.mark.parametrize(
    ('array', 'word'),
    [
        (np.zeros(3), 'dense_2/b is float64 (3,)'),
        (np.zeros(3, np.int32), 'dense_2/b is int32'),
        (np.array(['a', 'b', 'c']), 'dense_2/b is <U1'),
        (np.array([0, np.nan, 0], np.float32), 'dense_2/b holds NaN or infinity'),
    ],
)
def test_arrays_that_are_no_weights(saved, array, word):
    saved()
    damage.change(RUN / 'best.npz', **{'dense_2/b': array})
    assert f'{RUN}/best.npz: damaged ({word}' in refused()


@pytest.mark.parametrize('kind', damage.HEADERS)
@pytest.mark.parametrize('name', ['best.npz', 'input.npz'])
def test_a_damaged_zip_header(saved, name, kind):
    saved()
    damage.header(RUN / name, kind)
    assert refused().startswith(f'{RUN}/{name}: ')


def test_more_weights_than_the_net_has(saved):
    saved()
    with np.load(RUN / 'best.npz') as arrays:
        np.savez(RUN / 'more.npz', **arrays, **{'dense_3/W': np.zeros(1)})
    assert "the net has no 'dense_3/W'" in refused(RUN / 'more.npz')


@pytest.mark.parametrize(
    'change',
    [
        {'classes': 'abc'},
        {'classes': ['cat', 'dog', 7]},
        {'classes': []},
        {'classes': {'cat': 1}},
        {'flags': []},
        {'flags': {'seed': 'one'}},
        {'flags': {'augment': 5}},
        {'flags': {'prefix': 5}},
        {'flags': {'sed': 5}},
        {'flags': {'model': 'none'}},
        {'flags': {'model': ['simple']}},
    ],
)
def test_a_description_that_makes_no_sense(saved, change):
    saved()
    description = json.loads((RUN / 'config.json').read_text())
    for key, value in change.items():
        merge = isinstance(value, dict) and key == 'flags'
        description[key] = {**description[key], **value} if merge else value
    (RUN / 'config.json').write_text(json.dumps(description))
    assert refused().startswith(f'{RUN}/config.json: ')


def test_checksum_is_that_of_the_data(saved):
    data = dataset.Dataset(*(np.zeros((1, 1), np.uint8),) * 4, class_names=['cat'])
    saved(checksum=data.checksum())
    assert trained.load(RUN, CHAINER).data_checksum == data.checksum()
