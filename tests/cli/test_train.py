"""src/train.py as a user runs it: finished, killed, stopped, damaged and mistyped runs.

A run is deterministic, so one finished run is the truth that every interrupted one must reach.
"""

import csv
import functools
import importlib.util
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings

import chainer
import numpy as np
import pytest
from PIL import Image

import chainer_onednn
from chainer_cifar import cli, nets
from chainer_cifar.config import GROUPS
from chainer_cifar.recipes import recipes
from runs import (
    SCRIPT,
    arrays,
    assert_no_traceback,
    assert_same_run,
    environment,
    files,
    snapshots,
    train,
    write_data,
)

RESULTS = ['config.json', 'error.png', 'log.csv', 'log.json', 'loss.png', 'summary.json']

DATA = ['-d', 'data/image.pkl', '-l', 'data/label.pkl']
SMALL = [*DATA, '-m', 'residual', '--res_depth', '1', '-b', '10', '-p', 'run']
# Stochastic depth, swapout, augmentation and Adam: random numbers and optimizer state matter.
# (Stochastic depth leaves out none of the blocks of --res_depth 1.)
FULL = [*SMALL, '--res_depth', '2', '--optimizer', 'adam', '--skip_depth', '--swapout']
FULL_OPTIONS = {'res_depth': 2, 'skip_depth': True, 'swapout': True}


@pytest.fixture
def background(spawn):
    """As `train`, but does not wait for the process."""
    return functools.partial(spawn, SCRIPT, env=environment())


def wait_for_epoch(process, epoch):
    """Read standard output up to the line of the table for `epoch`."""
    for line in process.stdout:
        if re.match(rf' *{epoch} ', line):
            return
    pytest.fail(f'ended before epoch {epoch}: {process.stderr.read()}')


def wait_for_file(process, folder, pattern):
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)


def stop(process, number):
    """Send the signal; the exit status and what was still written to standard error."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.fixture
def fresh(tmp_path):
    """A folder with the data and no run."""
    write_data(tmp_path / 'data')
    return tmp_path


@pytest.fixture(scope='module')
def run_once(tmp_path_factory):
    """The finished run of three epochs: its folder and its process. Not to be changed."""
    folder = tmp_path_factory.mktemp('finished')
    write_data(folder / 'data')
    done = train(*FULL, '--iter', 3, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope='module')
def finished(run_once):
    return run_once[0]


@pytest.fixture
def copy(finished, tmp_path):
    """The finished run again, to be changed."""
    return shutil.copytree(finished, tmp_path / 'copy')


# A finished run


def test_files(finished):
    assert sorted(path.name for path in (finished / 'results' / 'run').iterdir()) == RESULTS
    kept = sorted(path.name for path in (finished / 'models' / 'run').glob('[!.]*'))
    # 36 images to train in batches of 10: the epochs end in iterations 4, 8 and 11.
    assert kept == [
        'best.npz',
        'config.json',
        'input.npz',
        'snapshot-00000008.npz',
        'snapshot-00000011.npz',
    ]
    hidden = [path.name for path in finished.rglob('.*')]
    assert hidden in ([], ['.lock'])  # no temporary file is left


def test_log(finished):
    folder = finished / 'results' / 'run'
    with open(folder / 'log.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        'epoch',
        'iteration',
        'lr',
        'train_loss',
        'train_error',
        'valid_loss',
        'valid_error',
        'test_loss',
        'test_error',
    ]
    assert [(row['epoch'], row['iteration']) for row in rows] == [
        ('1', '4'),
        ('2', '8'),
        ('3', '11'),
    ]
    in_json = json.loads((folder / 'log.json').read_text())
    assert [{k: str(v) for k, v in row.items()} for row in in_json] == rows
    for row in in_json:
        assert row['lr'] == 0.001
        assert all(0 < row[f'{part}_loss'] < 10 for part in ('train', 'valid', 'test'))
        # 4 images validate, 10 test.
        assert row['valid_error'] % 25 == 0 and row['test_error'] % 10 == pytest.approx(0)


def test_config_json(finished):
    saved = json.loads((finished / 'results' / 'run' / 'config.json').read_text())
    flags = saved['flags']
    assert flags['model'] == 'residual' and flags['optimizer'] == 'adam'
    assert flags['res_depth'] == 2  # the last of two wins
    assert flags['swapout'] is True and flags['no_valid_data'] is False
    # Those that were not typed, too.
    assert flags['alpha'] == 0.001 and flags['seed'] == 1 and flags['augment'] == 'crop,mirror'
    assert saved['versions'].keys() >= {'python', 'chainer-cifar', 'chainer', 'numpy'}
    assert saved['versions']['numpy'] == np.__version__
    assert saved['device']['kind'] == 'cpu' and saved['device']['name']
    assert saved['classes'] == ['cat', 'dog', 'ship']
    assert re.fullmatch('[0-9a-f]{8}', saved['data_checksum'])
    assert saved['command'][1:3] == DATA[:2]


@pytest.fixture
def help_text(command, capsys, monkeypatch):
    """What ``train.py --help`` shows."""
    monkeypatch.setenv('COLUMNS', '80')
    with pytest.raises(SystemExit, match='0'):
        command('train', '--help')
    out, err = capsys.readouterr()
    assert err == ''
    return out


def test_every_flag_is_in_config_json(finished, help_text):
    saved = json.loads((finished / 'results' / 'run' / 'config.json').read_text())
    flags = set(re.findall(r'--(\w+)', help_text))
    actions = {'help', 'seeds', 'resume', 'overwrite', 'dry_run', 'find_lr'}
    actions |= {'list_models', 'list_recipes', 'epochs'}  # the last is another name
    assert flags - actions == set(saved['flags'])


def test_help_is_in_groups(help_text):
    heads = re.findall(r'^(\S.*):$', help_text, re.M)
    assert heads == ['options', *GROUPS]
    text = ' '.join(help_text.split())
    assert ', '.join(recipes) in text
    for option in nets.option_names():
        assert f'; for {", ".join(nets.taking(option))}' in text
    assert help_text.endswith(EXAMPLE)


EXAMPLE = '\nexample: train.py -m residual --skip_depth --res_depth 12 -b 128 --lr 0.1 -p my_run\n'


def test_curves_are_pictures(finished):
    for name in ('loss.png', 'error.png'):
        with Image.open(finished / 'results' / 'run' / name) as image:
            image.load()
            assert image.format == 'PNG' and min(image.size) > 100
            assert len(image.convert('RGB').getcolors(image.width * image.height)) > 3


def test_summary_is_of_the_best_validated_epoch(finished):
    folder = finished / 'results' / 'run'
    rows = json.loads((folder / 'log.json').read_text())
    summary = json.loads((folder / 'summary.json').read_text())
    best = min(rows, key=lambda row: (row['valid_error'], row['epoch']))
    assert summary['test_error'] == best['test_error']
    assert summary['best_epoch'] == best['epoch'] and summary['best'] == best
    assert summary['chosen_by'] == 'lowest validation error' and summary['epochs'] == 3
    assert summary['seconds'] > 0 and summary['images_per_second'] > 0


def test_best_weights_are_a_net_that_gives_the_logged_error(finished):
    net = nets.create('residual', 3, **FULL_OPTIONS)
    chainer.serializers.load_npz(finished / 'models' / 'run' / 'best.npz', net)
    images, labels = (
        pickle.loads((finished / 'data' / name).read_bytes())['test']
        for name in ('image.pkl', 'label.pkl')
    )
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        logits = net(images.reshape(-1, 3, 32, 32)).array
    summary = json.loads((finished / 'results' / 'run' / 'summary.json').read_text())
    error = 100 * np.mean(logits.argmax(axis=1) != labels)
    assert error == pytest.approx(summary['test_error'])
    loss = chainer.functions.softmax_cross_entropy(logits, labels).item()
    assert loss == pytest.approx(summary['best']['test_loss'], rel=1e-4)


def test_output_in_a_pipe_is_lines(run_once):
    _, done = run_once
    assert '\r' not in done.stdout and '\x1b' not in done.stdout
    assert done.stderr == ''
    table = [line for line in done.stdout.splitlines() if re.match(r' +\d+ ', line)]
    assert [int(line.split()[0]) for line in table] == [1, 2, 3]
    assert any(line.endswith('  best') for line in table)
    assert '36 images to train, 4 to validate, 10 to test' in done.stdout
    summary = json.loads((run_once[0] / 'results' / 'run' / 'summary.json').read_text())
    assert f'test error {summary["test_error"]:.2f} %' in done.stdout


# Stopped runs


def test_killed_twice(background, fresh, finished):
    process = background(*FULL, '--iter', 3, cwd=fresh)
    wait_for_file(process, fresh, 'models/run/snapshot-*.npz')
    assert stop(process, signal.SIGKILL)[0] == -signal.SIGKILL

    process = background('--resume', '-p', 'run', cwd=fresh)
    wait_for_epoch(process, 2)
    time.sleep(0.02)  # into the second snapshot, or the third epoch: any moment must do
    assert stop(process, signal.SIGKILL)[0] == -signal.SIGKILL
    assert not (fresh / 'results' / 'run' / 'summary.json').exists()

    (fresh / 'models' / 'run' / '.best.npz.abc.tmp').touch()  # as a kill leaves in its moment
    done = train('--resume', '-p', 'run', cwd=fresh)
    assert done.returncode == 0 and done.stderr == '', done.stderr
    assert not list(fresh.glob('models/run/.*.tmp'))
    assert re.search(r'resuming after iteration (4|8)\n|finished already', done.stdout)
    assert_same_run(fresh, finished)


def test_killed_before_the_first_snapshot(copy, finished):
    for path in [*copy.glob('models/run/*'), *copy.glob('results/run/*')]:
        if path.name != 'config.json':
            path.unlink()
    done = train('--resume', '-p', 'run', cwd=copy)
    assert done.returncode == 0, done.stderr
    assert 'no snapshot yet, starting from the beginning' in done.stdout
    assert_same_run(copy, finished)


def test_ctrl_c(background, fresh, finished):
    # More epochs than it can finish before the signal; resumed, it stops where the other did.
    process = background(*FULL, '--iter', 300, cwd=fresh)
    wait_for_epoch(process, 1)
    time.sleep(0.1)  # into the second epoch
    status, errors = stop(process, signal.SIGINT)
    assert status == 130, errors
    assert 'Traceback' not in errors
    (message,) = [line for line in errors.splitlines() if '--resume' in line]
    iteration, command = re.fullmatch(
        r'train\.py: stopped at iteration (\d+); continue with (.*)', message
    ).groups()
    newest = snapshots(fresh)[0]
    assert newest.name == f'snapshot-{int(iteration):08d}.npz'
    assert int(iteration) < 11

    done = train(*command.split(), '--iter', 3, cwd=fresh)
    assert done.returncode == 0, done.stderr
    assert f'resuming after iteration {iteration}\n' in done.stdout
    assert_same_run(fresh, finished)


def test_sigterm_and_a_second_process(background, fresh, finished):
    process = background(*FULL, '--iter', 300, cwd=fresh)
    wait_for_epoch(process, 1)
    second = train(*FULL, '--iter', 1, '--overwrite', cwd=fresh)
    assert_no_traceback(second)
    assert second.stderr.count('\n') == 1 and 'another process' in second.stderr
    wait_for_epoch(process, 3)
    status, errors = stop(process, signal.SIGTERM)
    assert errors.count('--resume -p run') == 1 and 'Traceback' not in errors
    assert snapshots(fresh)
    # The second process has changed nothing.
    logs = [(folder / 'results' / 'run' / 'log.csv').read_text() for folder in (fresh, finished)]
    assert logs[0].startswith(logs[1])
    assert status == 143, errors


def test_another_engine_is_told_and_kept(copy, command, monkeypatch, without_curves):
    monkeypatch.chdir(copy)
    status, _, err = command('train', *RESUME, '--iter', 4, '--cpu_engine', 'chainer')
    assert status == 0, err
    (warning,) = err.splitlines()
    assert warning.startswith('warning: engine oneDNN') and 'in the last bits' in warning
    status, _, err = command('train', *RESUME, '--iter', 5)  # on what it went on with
    assert (status, err) == (0, '')
    for folder in ('results', 'models'):
        described = json.loads((copy / folder / 'run' / 'config.json').read_text())
        first, second = described['resumed']
        assert first['after_iteration'] == 11 and not first['device']['engine']
        assert first['flags'] == {**described['flags'], 'iter': 4, 'cpu_engine': 'chainer'}
        assert second['flags'] == {**first['flags'], 'iter': 5}
        assert second['device'] == first['device']
        assert described['device']['engine'].startswith('oneDNN')


# Damaged snapshots


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b'')


@pytest.mark.parametrize('damage', [truncate, flip])
def test_the_snapshot_before_a_damaged_one_is_used(damage, copy, finished):
    newest, before = snapshots(copy)
    damage(newest)
    done = train('--resume', '-p', 'run', cwd=copy)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('\n') == 1 and done.stderr.startswith('warning: ')
    assert f'{newest.name}: damaged snapshot' in done.stderr
    assert f'resuming after iteration {int(before.stem[-8:])}\n' in done.stdout
    assert_same_run(copy, finished)


def test_all_snapshots_damaged(copy, command, monkeypatch):
    newest, before = snapshots(copy)
    empty(newest)
    flip(before)
    files_before = files(copy)
    monkeypatch.chdir(copy)
    status, _, errors = command('train', *RESUME)
    assert status == 2 and newest.name in errors and before.name in errors
    last = errors.splitlines()[-1]
    assert last.startswith('train.py: error: ') and 'none of its 2 snapshots is whole' in last
    assert files(copy) == files_before


# Mistakes: status 2, one line, and nothing changed on disk


@pytest.fixture(scope='module')
def mistakes(finished, tmp_path_factory):
    """A finished run, other data and files to name by mistake; no test here may change it."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp('mistakes') / 'copy')
    write_data(folder / 'longer', n_train=41)
    write_data(folder / 'other', seed=1)
    write_data(folder / 'many')
    (folder / 'many' / 'classes.json').write_text('["cat", "dog"]')
    (folder / 'quote.txt').write_text("--augment 'mirror\n")
    (folder / 'itself.txt').write_text('@itself.txt\n')
    shutil.copytree(folder / 'models' / 'run', folder / 'models' / 'weights')
    shutil.copytree(folder / 'results' / 'run', folder / 'results' / 'log')
    return folder


NEW = [*SMALL, '-p', 'new']
RESUME = ['--resume', '-p', 'run']


MISTAKES = {
    'run exists': (FULL, ['results/run', '--resume', '--overwrite']),
    'overwrite without data': (
        [*FULL, '--overwrite', '-d', 'data/none.pkl'],
        ['data/none.pkl', 'no such file'],
    ),
    'nothing to resume': (['--resume', '-p', 'nothing'], ['results/nothing', 'no run to resume']),
    'weights': (['--resume', 'models/run/best.npz'], ['best.npz', 'weights only']),
    'no such snapshot': (
        ['--resume', 'models/run/snapshot-00000001.npz'],
        ['00000001', 'no such snapshot'],
    ),
    'other lr': ([*RESUME, '--lr', '0.5'], ['--lr 0.5', '0.01']),
    'other data': ([*RESUME, '-d', 'other/image.pkl'], ['other/image.pkl', 'checksum']),
    'flag': ([*NEW, '--optimiser', 'adam'], ['--optimiser', "'--optimizer'"]),
    'net': ([*NEW, '-m', 'residul'], ['residul', "'residual'"]),
    'recipe': ([*NEW, '--recipe', 'residual_skp'], ['residual_skp', "'residual_skip'"]),
    'lr_decay_iter': ([*NEW, '--lr_decay_iter', 'ten'], ['--lr_decay_iter', "'ten'"]),
    'empty batch': ([*NEW, '-b', '0'], ['--batch_size 0']),
    'large batch': ([*NEW, '-b', '37'], ['--batch_size 37', '36 training images']),
    'no number': ([*NEW, '-b', 'ten'], ['--batch_size', "'ten'"]),
    'more labels': (
        [*NEW, '-l', 'longer/label.pkl'],
        ['longer/label.pkl', '41 train labels', '40 images'],
    ),
    'more classes': ([*NEW, '-l', 'many/label.pkl'], ['label 2', '2 classes']),
    'no pickle': ([*NEW, '-d', 'data/classes.json'], ['data/classes.json']),
    'path out': ([*NEW, '-p', '../x'], ['--prefix ../x']),
    'augment': ([*NEW, '--augment', 'crops'], ['crops', "'crop'"]),
    'augment of colours': (
        [*NEW, '--augment', 'mirror|jitter'],
        ["--augment 'jitter': acts on colours of 0 to 255", 'dataset.py --only raw,mean'],
    ),
    'no file of flags': ([*NEW, '@none.txt'], ['@none.txt', 'no file none.txt']),
    'option of another net': (
        [*DATA, '-b', '10', '-m', 'cnn', '--skip_depth'],
        ['--skip_depth', "'cnn'"],
    ),
    'flag file': (['@missing.txt'], ['missing.txt']),
    'unclosed quote': (['@quote.txt'], ["--augment 'mirror", 'No closing quotation']),
    'flags of flags': (['@itself.txt'], ['names itself']),
    'a word too many': ([*NEW, 'stray'], ["unexpected argument 'stray'"]),
    'rate of another optimizer': (
        [*NEW, '--optimizer', 'adam', '--lr', '0.1'],
        ['--lr', 'adam', '--alpha'],
    ),
    'large seed': ([*NEW, '--seed', '99999999999'], ['--seed 99999999999', '4294967295']),
    'small upscale': ([*NEW, '-m', 'mobilenet', '--upscale', '16'], ['--upscale 16', '32']),
    'weights without results': ([*FULL, '-p', 'weights'], ['models/weights', '--overwrite']),
    'results without snapshots': (
        ['--resume', '-p', 'log'],
        ['models/log', 'results/log/log.csv'],
    ),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_mistake(mistake, mistakes, command, monkeypatch):
    arguments, words = MISTAKES[mistake]
    before = files(mistakes)
    monkeypatch.chdir(mistakes)
    monkeypatch.setattr(sys, 'argv', [str(SCRIPT)])  # by which messages name our commands
    status, _, error = command('train', *arguments)
    assert status == 2 and error.startswith('train.py: error: ') and error.count('\n') == 1, error
    for word in words:
        assert word in error
    assert files(mistakes) == before


@pytest.mark.skipif(importlib.util.find_spec('cupy') is not None, reason='CuPy is installed')
def test_gpu_without_cupy(mistakes, refused, monkeypatch):
    before = files(mistakes)
    monkeypatch.chdir(mistakes)
    assert '-g 0: CuPy is not installed' in refused('train', *NEW, '-g', 0)
    assert files(mistakes) == before


def test_other_data_under_the_same_path(copy, command, monkeypatch):
    write_data(copy / 'data', seed=1)
    before = files(copy)
    monkeypatch.chdir(copy)
    status, _, errors = command('train', *RESUME)
    assert status == 2 and errors.startswith('train.py: error: ') and errors.count('\n') == 1
    assert 'data/image.pkl' in errors and 'checksum' in errors
    assert files(copy) == before


def test_divergence(fresh, command, monkeypatch):
    monkeypatch.chdir(fresh)
    status, _, errors = command('train', *SMALL, '--lr', '1e30', '--iter', 3)
    assert status == 2 and 'Traceback' not in errors
    assert errors.splitlines()[-1].startswith('train.py: error: ')
    assert 'diverged' in errors and '--lr' in errors
    assert not snapshots(fresh)  # nothing to resume from


def test_clipping_where_nothing_moves_any_more_is_no_warning(fresh, command, monkeypatch):
    monkeypatch.chdir(fresh)
    with warnings.catch_warnings():
        warnings.simplefilter('error', RuntimeWarning)
        flags = ('--lr_factors', '*=1@1', '--clip_gradient', 1, '--iter', 2)
        status, _, errors = command('train', *SMALL, *flags)
    assert (status, errors) == (0, '')


# What else the flags do


def test_overwrite(copy, command, monkeypatch):
    (copy / 'models' / 'run' / 'epoch-0002.npz').write_bytes(b'')
    (copy / 'results' / 'run' / 'notes.txt').write_text('mine')
    for name in ('report-test.json', 'filters.png'):
        (copy / 'results' / 'run' / name).write_text('of the earlier weights')
    monkeypatch.chdir(copy)
    status, _, err = command('train', *SMALL, '--iter', 1, '--overwrite')
    assert status == 0, err
    assert len((copy / 'results' / 'run' / 'log.csv').read_text().splitlines()) == 2
    flags = json.loads((copy / 'results' / 'run' / 'config.json').read_text())['flags']
    assert flags['optimizer'] == 'sgd' and flags['swapout'] is False
    kept = sorted(path.name for path in (copy / 'models' / 'run').glob('[!.]*'))
    assert kept == ['best.npz', 'config.json', 'input.npz', 'snapshot-00000004.npz']
    left = sorted(path.name for path in (copy / 'results' / 'run').iterdir())
    assert left == sorted([*RESULTS, 'notes.txt'])


def test_dry_run_writes_nothing(fresh, command, monkeypatch):
    before = files(fresh)
    monkeypatch.chdir(fresh)
    status, out, err = command('train', *SMALL, '--dry_run')
    assert (status, err) == (0, '')
    n = nets.create('residual', 3, res_depth=1).count_params()
    assert f'residual: {n:,} parameters, 3 classes' in out
    assert files(fresh) == before


@pytest.mark.parametrize('stream', ['stdout', 'both'])
def test_a_reader_that_left_costs_no_snapshot(background, fresh, stream):
    """`train.py 2>&1 | tee log`, and Ctrl-C ends tee first."""
    errors = subprocess.STDOUT if stream == 'both' else subprocess.PIPE
    process = background(*SMALL, '--iter', 1000000, cwd=fresh, stderr=errors)
    wait_for_epoch(process, 1)
    process.stdout.close()
    if stream == 'both':
        process.send_signal(signal.SIGINT)
    assert process.wait(60) in (130, 143)
    done = train('--resume', '-p', 'run', '--iter', '1', cwd=fresh)
    assert done.returncode == 0, done.stderr
    assert 'finished already' in done.stdout or 'resuming after iteration' in done.stdout


def test_a_finished_run_says_so(copy, command, monkeypatch):
    monkeypatch.chdir(copy)
    status, out, _ = command('train', *RESUME)
    assert status == 0 and 'larger --iter than 3 would' in out


def test_best_weights_that_are_missing_come_back(fresh, command, monkeypatch, without_curves):
    monkeypatch.chdir(fresh)
    assert command('train', *SMALL, '--iter', '1')[0] == 0
    weights = fresh / 'models/run/best.npz'
    written = arrays(weights)
    weights.unlink()
    status, _, err = command('train', *RESUME)
    assert (status, err) == (0, '')
    np.testing.assert_equal(arrays(weights), written)


def test_missing_packages_are_told_in_one_line(tmp_path):
    """A Python without Chainer, NumPy … as a user's own often is."""
    done = subprocess.run(
        [sys.executable, '-S', SCRIPT, '--list_models'],
        cwd=tmp_path,
        env={'PATH': os.environ['PATH']},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr
    assert 'has no package' in done.stderr and '.venv/bin/python' in done.stderr


def test_cpu_engines_agree(fresh, command, monkeypatch, without_curves):
    monkeypatch.chdir(fresh)
    losses = []
    for engine in ('onednn', 'onednn-direct', 'chainer'):
        flags = [*SMALL, '--iter', 1, '--cpu_engine', engine, '-p', engine]
        status, out, err = command('train', *flags)
        assert (status, err) == (0, '')
        assert ('oneDNN' in out) == (engine != 'chainer')
        described = json.loads((fresh / f'results/{engine}/config.json').read_text())
        assert bool(described['device']['engine']) == (engine != 'chainer')
        log = json.loads((fresh / f'results/{engine}/log.json').read_text())
        losses.append([log[0][part] for part in ('train_loss', 'valid_loss', 'test_loss')])
    np.testing.assert_allclose(losses[0], losses[2], rtol=1e-2)
    np.testing.assert_allclose(losses[1], losses[2], rtol=1e-2)
    assert losses[0] != losses[2]  # or the flag does nothing


def test_list_models(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command('train', '--list_models')
    assert (status, err) == (0, '')
    listed = {line.split()[0]: line.split()[1] for line in out.splitlines()}
    assert listed.keys() == set(nets.registry)
    assert listed['residual'] == f'{nets.create("residual").count_params():,}'
    assert '`' not in out and '  cnn with batch normalization' in out
    assert files(tmp_path) == {}


def test_list_recipes(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('COLUMNS', '80')
    status, out, err = command('train', '--list_recipes')
    assert (status, err) == (0, '')
    assert re.search(r'^residual_skip +article 000, test error 7.42 %$', out, re.M)
    heads = [line for line in out.splitlines() if re.match(r'\w+ ', line)]
    (column,) = {re.match(r'\w+ +', head).end() for head in heads}
    assert len(heads) == len(recipes) and column == max(map(len, recipes)) + 1 and '`' not in out
    assert max(map(len, out.splitlines())) <= 80
    as_one_line = out.replace('\\\n', '')  # as a shell reads it
    assert re.search(r'^ +--model residual .*--lr 0\.1 .*--skip_depth\b', as_one_line, re.M)
    assert files(tmp_path) == {}


@pytest.fixture(scope='module')
def from_recipe(tmp_path_factory):
    """A run of a recipe, with flags from a file and without validation."""
    folder = tmp_path_factory.mktemp('recipe')
    write_data(folder / 'data')
    (folder / 'flags.txt').write_text(
        '# the data\n-d data/image.pkl -l data/label.pkl  # both\n\n--recipe residual\n--seed 5\n'
    )
    flags = ['-b', 20, '--res_depth', 1, '--iter', 3, '--no_valid_data', '--save_iter', 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ['@flags.txt', *map(str, flags), '--seed', '7']
        assert cli.run('train', words, 'train.py') == 0
    chainer_onednn.disable()
    return folder


def test_default_then_recipe_then_command_line(from_recipe):
    saved = json.loads((from_recipe / 'results' / 'residual' / 'config.json').read_text())
    flags = saved['flags']
    assert flags['recipe'] == 'residual'
    assert flags['weight_decay'] == 0.0001 and flags['augment'] == 'crop,mirror'  # default
    assert flags['model'] == 'residual' and flags['lr'] == 0.1  # recipe; default 0.01
    assert flags['prefix'] == 'residual'
    assert (flags['batch_size'], flags['res_depth'], flags['iter']) == (20, 1, 3)  # typed
    assert flags['dataset'] == 'data/image.pkl'  # file
    assert flags['seed'] == 7  # typed after the file


def test_no_valid_data(from_recipe):
    rows = json.loads((from_recipe / 'results' / 'residual' / 'log.json').read_text())
    assert not [name for name in rows[0] if name.startswith('valid')]
    assert [row['iteration'] for row in rows] == [2, 4, 6]  # all 40 images
    summary = json.loads((from_recipe / 'results' / 'residual' / 'summary.json').read_text())
    assert summary['chosen_by'] == 'last epoch'
    assert summary['best_epoch'] == 3 and summary['best'] == rows[-1]
    # best.npz is of the last epoch, as the last snapshot is.
    folder = from_recipe / 'models' / 'residual'
    last = arrays(folder / 'snapshot-00000006.npz')
    for name, value in arrays(folder / 'best.npz').items():
        (same,) = [k for k in last if k.endswith(f'model:main/predictor/{name}')]
        assert value.tobytes() == last[same].tobytes()


def test_save_iter(from_recipe):
    folder = from_recipe / 'models' / 'residual'
    assert [path.name for path in folder.glob('epoch-*.npz')] == ['epoch-0002.npz']
    net = nets.create('residual', 3, res_depth=1)
    chainer.serializers.load_npz(folder / 'epoch-0002.npz', net)
