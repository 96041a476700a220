"""train.py with given weights, frozen parts, and all that articles 001 to 004 added."""

import contextlib
import io
import json
import shutil

import chainer
import h5py
import numpy as np
import pytest

import chainer_onednn
from chainer_cifar import cli, nets
from runs import arrays, assert_same_run, files, write_data

DATA = ['-d', 'data/image.pkl', '-l', 'data/label.pkl', '-b', '10', '-p', 'run']
SMALL = [*DATA, '-m', 'simple', '--optimizer', 'nesterov', '--weight_decay', '0', '--lr', '0.02']
FULL = [
    *SMALL,
    *('--init', 'weights.npz', '--freeze', 'conv*', '--normalize', 'channel'),
    *('--augment', 'rotate(20)|shift(0.1)|mirror', '--label_smoothing', '0.1'),
    *('--l2', '1e-4', '--clip_gradient', '1', '--lr_shape', 'plateau(0.5, 1)|decay(0.01)'),
]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Data, weights of a net of 10 classes, and a run of three epochs that began with them."""
    folder = tmp_path_factory.mktemp('transfer')
    write_data(folder / 'data')
    np.random.seed(5)
    chainer.serializers.save_npz(folder / 'weights.npz', nets.create('simple', 10))
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.chdir(folder)
        assert cli.run('train', [*FULL, '--iter', '4'], 'train.py') == 0
    chainer_onednn.disable()
    (folder / 'stdout').write_text(out.getvalue())
    return folder


def test_tells_what_was_loaded_and_frozen(folder):
    output = (folder / 'stdout').read_text()
    assert 'loaded 4 of 6 arrays (590,380 values) from weights.npz' in output
    assert 'skipped: dense_2/W ((10, 100) in the file, (3, 100) in the net)' in output
    assert 'missing (keeps its initial values): dense_2/W, dense_2/b' in output
    assert 'frozen: 2 of 6 arrays' in output


def test_frozen_parts_are_as_they_were_and_others_not(folder):
    begun, ended = arrays(folder / 'weights.npz'), arrays(folder / 'models' / 'run' / 'best.npz')
    for name in ('conv2d_1/W', 'conv2d_1/b'):
        np.testing.assert_array_equal(ended[name], begun[name])
    assert not np.array_equal(ended['dense_1/W'], begun['dense_1/W'])


def test_learning_rate_is_cut_on_a_plateau(folder):
    rows = json.loads((folder / 'results' / 'run' / 'log.json').read_text())
    errors = [row['valid_error'] for row in rows]
    factor = 1.0
    for n, row in enumerate(rows):
        # `lr` is that of the epoch's last iteration; a cut acts from the next epoch on.
        expected = 0.02 * factor / (1 + 0.01 * (row['iteration'] - 1))
        assert row['lr'] == pytest.approx(expected)
        if n and errors[n] >= min(errors[:n]):
            factor *= 0.5
    assert factor < 1  # it did happen


def test_resumed_without_the_weights_it_began_with(folder, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / 'data')
    (tmp_path / 'weights.npz').write_bytes((folder / 'weights.npz').read_bytes())
    status, _, err = command('train', *FULL, '--iter', 2)
    assert status == 0, err
    (tmp_path / 'weights.npz').unlink()
    status, out, err = command('train', '--resume', '-p', 'run', '--iter', 4)
    assert status == 0, err
    assert 'loaded' not in out
    assert_same_run(tmp_path, folder)


def test_begins_with_a_run_and_tells_what_differed(folder, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('data', 'models'):
        shutil.copytree(folder / name, tmp_path / name)
    flags = [*SMALL, '--iter', 1, '--dry_run', '--init', 'models/run']
    for normalize, warning in (
        ('channel', ''),
        ('none', 'warning: the weights were trained on images of --normalize channel, not none\n'),
    ):
        status, out, err = command('train', *flags, '--normalize', normalize)
        assert (status, err) == (0, warning)
        assert 'loaded 6 of 6 arrays' in out and 'from models/run/best.npz' in out


def test_keras_weights_of_article_001(tmp_path, command, monkeypatch, without_curves):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / 'data')
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(5, 5, 3, 30)).astype(np.float32)
    with h5py.File(tmp_path / 'cnn.h5', 'w') as file:
        file['conv2d_1/conv2d_1/kernel:0'] = kernel
        file['conv2d_1/conv2d_1/bias:0'] = np.ones(30, np.float32)
        file['dense_9/dense_9/bias:0'] = np.ones(4, np.float32)
    freeze = ['--freeze', 'conv2d_1']
    status, out, err = command('train', *SMALL, '--init', 'cnn.h5', *freeze, '--iter', 1)
    assert status == 0, err
    assert 'skipped: dense_9/bias (not in the net)' in out
    found = arrays(tmp_path / 'models' / 'run' / 'best.npz')
    np.testing.assert_array_equal(found['conv2d_1/W'], kernel.transpose(3, 2, 0, 1))


def test_a_refused_overwrite_costs_nothing(folder, tmp_path, refused, monkeypatch):
    copy = shutil.copytree(folder, tmp_path / 'copy')
    (copy / 'data' / 'image_stats.npz').write_bytes(b'PK damaged')
    before = files(copy)
    monkeypatch.chdir(copy)
    assert 'image_stats.npz' in refused('train', *SMALL, '--overwrite')
    assert files(copy) == before


def test_resuming_completes_what_earlier_versions_did_not_write(
    folder, tmp_path, command, monkeypatch
):
    copy = shutil.copytree(folder, tmp_path / 'copy')
    beside = {name: copy / 'models' / 'run' / name for name in ('config.json', 'input.npz')}
    before = {name: path.read_bytes() for name, path in beside.items()}
    for path in beside.values():
        path.unlink()
    monkeypatch.chdir(copy)
    status, _, err = command('train', '--resume', '-p', 'run')
    assert status == 0, err
    assert beside['config.json'].read_bytes() == before['config.json']
    assert arrays(beside['input.npz']).keys() == arrays(folder / 'models/run/input.npz').keys()


def test_warns_when_more_epochs_change_the_learning_rate(
    tmp_path, monkeypatch, command, without_curves
):
    write_data(tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    for shape, warned in (('cosine', True), ('decay(0.1)', False)):
        flags = ['--lr_shape', shape, '--iter', 1]
        assert command('train', *SMALL, *flags, '--overwrite')[0] == 0
        status, _, err = command('train', '--resume', '-p', 'run', '--iter', 2)
        assert status == 0, err
        assert ('the learning rate is now 0.00' in err) == warned


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--init', 'none.npz'], '--init none.npz: No such file'),
        (['--init', 'data/image.pkl'], 'neither an npz file of ours nor an h5 file of Keras'),
        (['--init', 'imagenet'], 'there are such weights for'),
        (['--freeze', 'konv*'], "no part of the net is called so, did you mean 'conv2d_1"),
        (['--freeze', '*'], 'leaves nothing to train'),
        (['--normalize', 'unit'], 'is for raw images; give -d dataset/image_raw.pkl'),
        (['--normalize', 'units'], "did you mean 'unit'"),
        (['--label_smoothing', '1'], 'must be less than 1'),
        (['--momentum', '1.5'], '--momentum 1.5: must be less than 1'),
        (['--lr_shape', 'plateau', '--no_valid_data'], 'leave out --no_valid_data'),
        (['--upscale', '64'], "--upscale has no meaning for net 'simple'"),
    ],
)
def test_mistakes(folder, flags, message, monkeypatch, command):
    before = files(folder)
    monkeypatch.chdir(folder)
    status, _, error = command('train', *SMALL, '--overwrite', '--iter', 1, *flags)
    assert status == 2 and error.startswith('train.py: error: ') and error.count('\n') == 1
    assert message in error
    assert files(folder) == before  # nothing was lost
