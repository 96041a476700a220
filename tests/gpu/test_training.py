"""train.py -g 0 as a user runs it: the same bits again, resumed, and beside a CPU."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

import runs
from runs import DATA, SCRIPT, snapshots

pytestmark = pytest.mark.gpu

SMALL = [*DATA, '-m', 'residual', '--res_depth', '1', '-b', '20', '-p', 'run']
# Random numbers of the host (order, crop, mirror, stochastic depth) and of the device (swapout)
# matter, and so do the state of the optimizer and the average.
FULL = [*SMALL, '--res_depth', '2', '--skip_depth', '--swapout', '--optimizer', 'adam']
FULL += ['--average', 'ema(0.9)', '-g', '0', '--deterministic']

# What a CuPy without cuDNN makes train.py say, which is no failure.
NO_CUDNN = re.compile(r'warning: this CuPy has no cuDNN.*\n')


def train(*arguments, cwd):
    """Run train.py, which must succeed without a warning; what it printed."""
    done = runs.train(*arguments, cwd=cwd)
    assert done.returncode == 0 and NO_CUDNN.sub('', done.stderr) == '', done.stderr
    return done.stdout


def evaluate(folder, *arguments):
    script = SCRIPT.with_name('evaluate.py')
    command = [sys.executable, script, 'run', *arguments]
    return subprocess.run(
        command, cwd=folder, env=runs.environment(), capture_output=True, text=True, timeout=120
    )


def log(folder):
    return json.loads((folder / 'results' / 'run' / 'log.json').read_text())


@pytest.fixture(scope='module')
def finished(gpu, tmp_path_factory):
    """A folder with a finished run of three epochs. Not to be changed."""
    folder = tmp_path_factory.mktemp('finished')
    runs.write_data(folder / 'data', n_train=200, n_test=40)
    train(*FULL, '--iter', 3, cwd=folder)
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """The finished run again, to be changed."""
    return shutil.copytree(finished, tmp_path / 'copy')


def test_the_run_is_described(finished):
    described = json.loads((finished / 'results' / 'run' / 'config.json').read_text())
    assert described['device']['kind'] == 'gpu' and described['device']['name']


def test_the_same_bits_again(fresh, finished):
    train(*FULL, '--iter', 3, cwd=fresh)
    runs.assert_same_run(fresh, finished)


def test_another_seed_gives_other_bits(fresh, finished):
    train(*FULL, '--iter', 3, '--seed', 2, cwd=fresh)
    assert log(fresh) != log(finished)


def test_resumed_from_the_last_but_one_snapshot(copy, finished):
    snapshots(copy)[0].unlink()
    assert 'resuming after iteration 18\n' in train('--resume', '-p', 'run', cwd=copy)
    runs.assert_same_run(copy, finished)


def test_mixed_precision_resumes_bit_for_bit_and_is_evaluated_in_float32(fresh):
    flags = [*SMALL, '-g', '0', '--deterministic', '--precision', 'mixed16', '--optimizer', 'adam']
    train(*flags, '--iter', 3, cwd=fresh)
    whole = shutil.copytree(fresh, fresh.with_name('whole'))
    snapshots(fresh)[0].unlink()
    train('--resume', '-p', 'run', cwd=fresh)
    runs.assert_same_run(fresh, whole)
    weights = runs.arrays(fresh / 'models' / 'run' / 'best.npz').values()
    assert {array.dtype for array in weights if array.ndim} == {np.dtype(np.float32)}
    done = evaluate(fresh, '-g', '0')
    assert done.returncode == 0, done.stderr
    (report,) = (fresh / 'results' / 'run').glob('report-*.json')
    summary = json.loads((fresh / 'results' / 'run' / 'summary.json').read_text())
    assert json.loads(report.read_text())['error'] == pytest.approx(summary['test_error'])


def test_resumed_after_ctrl_c(fresh, finished, spawn):
    process = spawn(SCRIPT, *FULL, '--iter', 300, cwd=fresh, env=runs.environment())
    for line in process.stdout:
        if re.match(r' *1 ', line):  # the table's row of the first epoch
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and 'Traceback' not in errors, errors
    iteration = int(snapshots(fresh)[0].stem[-8:])
    assert iteration <= 27, 'three epochs went by before the signal'
    assert f'stopped at iteration {iteration};' in errors
    train('--resume', '-p', 'run', '--iter', 3, cwd=fresh)
    runs.assert_same_run(fresh, finished)


def test_losses_are_those_of_a_cpu(fresh):
    train(*SMALL, '--iter', 2, '-g', '0', cwd=fresh)
    train(*SMALL, '--iter', 2, '-p', 'cpu', cwd=fresh)
    on_cpu = json.loads((fresh / 'results' / 'cpu' / 'log.json').read_text())
    for theirs, ours in zip(on_cpu, log(fresh), strict=True):
        for part in ('train', 'valid', 'test'):
            assert ours[f'{part}_loss'] == pytest.approx(theirs[f'{part}_loss'], rel=0.02)


def test_a_run_goes_on_on_a_cpu_and_back(copy):
    for epochs, gpu in ((4, -1), (5, 0)):
        done = runs.train('--resume', '-p', 'run', '--iter', epochs, '-g', gpu, cwd=copy)
        assert done.returncode == 0 and 'Traceback' not in done.stderr, done.stderr
        assert 'in the last bits' in done.stderr
    assert [row['epoch'] for row in log(copy)] == [1, 2, 3, 4, 5]


def test_other_commands_say_on_a_gpu_what_they_say_on_a_cpu(copy):
    results = []
    for gpu in ('0', '-1'):
        done = evaluate(copy, '-g', gpu)
        assert done.returncode == 0 and NO_CUDNN.sub('', done.stderr) == '', done.stderr
        (report,) = (copy / 'results' / 'run').glob('report-*.json')
        results.append(json.loads(report.read_text()))
    assert results[0]['error'] == pytest.approx(results[1]['error'], abs=2.5)  # one image of 40
    assert results[0]['loss'] == pytest.approx(results[1]['loss'], rel=0.01)
    for name, arguments in (('predict', ['run', '--first', '3']), ('visualize', ['run'])):
        script = SCRIPT.with_name(f'{name}.py')
        subprocess.run(
            [sys.executable, script, *arguments, '-g', '0'],
            cwd=copy,
            env=runs.environment(),
            check=True,
            timeout=120,
        )


WAYS = {
    'cuDNN chooses its algorithms': '--augment rotate(20)|mirror',
    'nesterov': '--optimizer nesterov --clip_gradient 1 --lr_shape cosine',
    'adamw': '--optimizer adamw --no_decay_bn --label_smoothing 0.1',
    'accumulate': '--accumulate 2 --balance loss',
    'balanced order': '--balance sampler',
    'lookahead': '--average lookahead(2)',
    'mixed labels': '--augment mixup|cutmix',
    'whitening': '-m airbench94',
    'mixed precision': '--precision mixed16 --accumulate 2 --label_smoothing 0.1',
    'mixed precision, mixed labels': '-m airbench94 --precision mixed16 --augment cutmix',
}


@pytest.mark.parametrize('flags', WAYS.values(), ids=WAYS)
def test_ways_to_train(flags, fresh):
    small = [*DATA, '-m', 'simple_gap', '-b', '20', '-p', 'run']
    train(*small, '--iter', 1, '-g', 0, *flags.split(), cwd=fresh)
    for name, array in runs.arrays(fresh / 'models' / 'run' / 'best.npz').items():
        assert np.isfinite(array).all(), name


@pytest.mark.parametrize('action', ['--find_lr', '--dry_run'])
def test_actions(action, fresh):
    assert train(*SMALL, '-g', 0, action, cwd=fresh)


def test_divergence(fresh):
    done = runs.train(*SMALL, '--iter', 3, '-g', 0, '--lr', '1e30', cwd=fresh)
    assert 'diverged' in runs.assert_no_traceback(done)


def test_no_such_gpu(fresh):
    errors = runs.assert_no_traceback(runs.train(*SMALL, '-g', 99, cwd=fresh))
    assert '-g 99: no such GPU' in errors
