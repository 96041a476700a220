"""search.py as users run it: alone, two at once, killed, stopped, continued, mistyped."""

import importlib.util
import json
import pathlib
import re
import signal
import sys
import time

import pytest

from chainer_cifar import runs as folders
from chainer_cifar.errors import Diverged
from chainer_cifar.training import divergence, run
from runs import SCRIPT, arrays, assert_same_arrays, environment, write_data

pytestmark = pytest.mark.usefixtures('without_curves')

needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec('optuna') is None,
    reason="needs the extra search: pip install '.[search]'",
)
SEARCH = SCRIPT.with_name('search.py')
DATA = '-d data/image.pkl -l data/label.pkl'
# Small steps, so that a process is killed within a trial.
FLAGS = [
    *f'{DATA} -m residual --res_depth 1 -b 10 --name digits --iter 3'.split(),
    *('--optimizer', 'adam;nesterov', '--alpha', '1e-4..1e-2', '--lr', '1e-3..1e-1'),
    *('--augment', 'crop,mirror;none'),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / 'data')
    return tmp_path


def found():
    return json.loads(pathlib.Path('results/digits/search.json').read_text())


def by_number():
    return {trial['trial']: trial for trial in found()['trials']}


@needs_optuna
def test_two_processes_one_killed(folder, spawn):
    """What one has begun, the other ends; then all is as one process would have it."""
    flags = [*FLAGS, '--iter', '2', '--trials', '4', '--halving', '1']
    doomed, other = (spawn(SEARCH, *flags, env=environment()) for _ in range(2))
    for line in doomed.stdout:
        if match := re.match(r'trial (\d+) ', line):
            break
    else:
        pytest.fail(doomed.stderr.read())
    run = folders.RunFolder('digits').of_trial(int(match[1]))
    while doomed.poll() is None and not run.snapshots():
        time.sleep(0.002)
    doomed.send_signal(signal.SIGKILL)
    out, err = other.communicate(timeout=600)
    assert (other.returncode, err) == (0, '')
    assert re.search(r'^trial \d+ .*\(goes on\)$', out, re.MULTILINE)
    trials = by_number()
    assert sorted(trials) == [1, 2, 3, 4] and found()['finished']
    for trial in trials.values():
        assert trial['state'] == 'finished' and trial['epochs'] == 2
        rows = json.loads(pathlib.Path(f'results/{trial["run"]}/log.json').read_text())
        assert trial['valid_error'] == min(row['valid_error'] for row in rows)
    assert [t['valid_error'] for t in found()['trials']] == sorted(
        t['valid_error'] for t in trials.values()
    )
    # The trial whose process was killed is as if it had not been; and its command trains the same.
    flags = trials[int(match[1])]['flags']
    words = [word for name, value in flags.items() for word in (f'--{name}', value)]
    flags = [*FLAGS[: FLAGS.index('--name')], '--iter', 2, *words, '-p', 'alone']
    alone = spawn(SCRIPT, *flags, env=environment())
    _, err = alone.communicate(timeout=600)
    assert alone.returncode == 0, err
    log = pathlib.Path('results', run.name, 'log.csv')
    assert log.read_bytes() == pathlib.Path('results/alone/log.csv').read_bytes()
    assert_same_arrays(arrays(run.weights), arrays('models/alone/best.npz'))
    assert sorted(path.name for path in pathlib.Path('models/digits').glob('*.*')) == [
        'search.lock'
    ]


@needs_optuna
def test_stopped_and_continued(folder, spawn, command, refused):
    flags = [*FLAGS, '--trials', '4']
    process = spawn(SEARCH, *flags, env=environment())
    for line in process.stdout:
        if line.startswith('trial 2  --'):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert re.search(r'^search.py: stopped.*the same command goes on$', err, re.MULTILINE)
    assert by_number()[1]['state'] == 'finished' and not found()['finished']
    # It refuses other flags, and the name alone is enough to go on.
    before = pathlib.Path('results/digits/journal.jsonl').read_bytes()
    line = refused('search', *FLAGS[:-1], 'none;crop')
    assert "--augment 'none;crop': the search digits was begun with 'crop,mirror;none'" in line
    assert '--halving 2: the search digits' in refused('search', '--name', 'digits', '--halving', 2)
    assert 'results/digits: holds a run already' in refused('train', *DATA.split(), '-p', 'digits')
    assert pathlib.Path('results/digits/journal.jsonl').read_bytes() == before
    status, out, err = command('search', '--name', 'digits')
    assert (status, err) == (0, '') and 'best: trial' in out
    assert sorted(by_number()) == [1, 2, 3, 4] and found()['finished']
    assert 'test' not in re.sub('the test set (is|was) not looked at', '', out)
    # Halving stopped some, and their weights are gone; the others' are there.
    states = {number: trial['state'] for number, trial in by_number().items()}
    assert set(states.values()) == {'finished', 'stopped'}
    for number, state in states.items():
        run = folders.RunFolder('digits').of_trial(number)
        assert run.weights.exists() == bool(run.snapshots()) == (state == 'finished')
        assert run.log.exists() and by_number()[number]['epochs'] == (3 if state[0] == 'f' else 1)
    # More trials can be added; the runs are as any others.
    assert command('search', *FLAGS, '--trials', 5)[0] == 0
    assert len(by_number()) == 5
    best = found()['trials'][0]['run']
    assert command('evaluate', best)[0] == 0
    assert command('search', *FLAGS, '--trials', 1, '--overwrite')[0] == 0
    assert list(by_number()) == [1]
    # Runs of a search whose journal is gone are not taken for those of a new one.
    pathlib.Path('results/digits/journal.jsonl').rename('kept')
    assert 'results/digits/trial_001: holds a run already' in refused('search', *FLAGS)
    kept = [path.name for path in pathlib.Path('models/digits').iterdir()]
    assert sorted(kept) == ['search.lock', 'trial_001']


@needs_optuna
def test_another_process_that_begins_the_search_at_the_same_time(folder, command, monkeypatch):
    of_trials = folders.RunFolder.of_trials

    def of_trials_late(self):
        monkeypatch.setattr(folders.RunFolder, 'of_trials', of_trials)
        assert command('search', *FLAGS, '--trials', 1)[0] == 0  # between two looks of ours
        return of_trials(self)

    monkeypatch.setattr(folders.RunFolder, 'of_trials', of_trials_late)
    status, _, err = command('search', *FLAGS, '--trials', 1)
    assert (status, err) == (0, '') and list(by_number()) == [1]


@needs_optuna
def test_flags_that_come_again_are_not_trained_again(folder, command):
    flags = [*DATA.split(), '-m', 'residual', '--res_depth', '1', '-b', '10;20', '--iter', '1']
    status, out, err = command('search', *flags, '--name', 'digits', '--trials', 4, '--keep')
    assert (status, err) == (0, '')
    assert out.count('has the flags of trial') == 2
    assert len(list(pathlib.Path('results/digits').glob('trial_*'))) == 2
    twins = [trial for trial in found()['trials'] if trial['same_as']]
    for twin in twins:
        original = by_number()[twin['same_as']]
        assert (twin['run'], twin['valid_error']) == (original['run'], original['valid_error'])


@needs_optuna
def test_what_cannot_be_trained_is_told_of(folder, command):
    """A rate at which the weights overflow; two failures in a row end the search."""
    flags = [*DATA.split(), '-m', 'residual', '--res_depth', '1', '-b', '10', '--iter', '1']
    flags += ['--name', 'digits', '--lr', '1e25..1e30']
    status, out, _ = command('search', *flags, '--trials', 1)
    assert status == 0 and 'trial 1  diverged' in out and '\nbest' not in out
    assert found()['trials'][0]['state'] == 'diverged'
    write_data(folder / 'data', seed=1)
    status, out, err = command('search', *flags, '--trials', 9)
    assert status == 2 and sorted(by_number()) == [1, 2, 3]
    assert 'search.py: error: trial 3: data/image.pkl: not the data that earlier trials' in err


@needs_optuna
def test_ctrl_c_while_a_trial_diverges(folder, command, monkeypatch):
    def require_finite(net, iteration):
        signal.raise_signal(signal.SIGINT)
        raise Diverged('training diverged: so it was told')

    monkeypatch.setattr(divergence, 'require_finite', require_finite)
    flags = [*DATA.split(), '-m', 'residual', '--res_depth', '1', '-b', '10', '--iter', '1']
    status, _, err = command('search', *flags, '--lr', '1e-3..1e-2', '--trials', 2)
    assert status == 130
    assert err.splitlines()[-1] == 'search.py: stopped in trial 1; the same command goes on'


@needs_optuna
def test_ctrl_c_in_the_epoch_that_halving_stops_after(folder, command, monkeypatch):
    def should_prune(trial):
        signal.raise_signal(signal.SIGINT)
        return True

    monkeypatch.setattr('optuna.trial.Trial.should_prune', should_prune)
    flags = [*DATA.split(), '-m', 'residual', '--res_depth', '1', '-b', '10', '--iter', '2']
    flags += ['--name', 'digits', '--lr', '1e-3..1e-2', '--trials', 2]
    status, _, err = command('search', *flags)
    assert status == 130
    assert err.splitlines()[-1] == 'search.py: stopped in trial 1; the same command goes on'
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert command('search', *flags)[0] == 0 and sorted(by_number()) == [1, 2]


@needs_optuna
def test_a_trial_that_is_too_large_does_not_end_the_search(folder, command, monkeypatch):
    start = run.start
    fates = [RuntimeError('CUDNN_STATUS_ALLOC_FAILED'), None, MemoryError('9 GB')]
    fates.append(RuntimeError('cudaErrorLaunchFailure'))

    def start_or_fail(*args, **named):
        if error := fates.pop(0):
            raise error
        return start(*args, **named)

    monkeypatch.setattr(run, 'start', start_or_fail)
    flags = [*DATA.split(), '-m', 'residual', '--res_depth', '1', '-b', '10', '--iter', '1']
    flags += ['--name', 'digits', '--lr', '1e-3..1e-2', '--trials', 3]
    status, _, err = command('search', *flags)
    assert status == 0 and err.splitlines() == [
        'warning: trial 1: out of memory (CUDNN_STATUS_ALLOC_FAILED)',
        'warning: trial 3: out of memory (9 GB)',
    ]
    states = {number: trial['state'] for number, trial in by_number().items()}
    assert states == {1: 'failed', 2: 'finished', 3: 'failed'}
    with pytest.raises(RuntimeError, match='LaunchFailure'):
        command('search', *flags, '--trials', 9)


@needs_optuna
@pytest.mark.parametrize(
    ('flags', 'words'),
    [
        ([], 'nothing to search'),
        (['--lr', '1e-1..1e-3'], "--lr '1e-1..1e-3': the range is reversed; write 1e-3..1e-1"),
        (['--learning_rte', '1..2'], "no flag is called '--learning_rte'"),
        (['--momentun', '0..1'], "did you mean '--momentum'"),
        (['-m', 'cnn;cnnb'], "no net is called 'cnnb', did you mean 'cnnbn'"),
        (['-m', 'vgg16;cnn', '--alpha', '1..2'], '--alpha: has no meaning for --optimizer sgd'),
        (['-b', '10;9999'], '--batch_size 9999: there are only'),
        (['--augment', 'none;jiter'], "--augment 'jiter': no augmentation is called 'jiter'"),
        (['--normalize', 'none;imagenet'], '--normalize imagenet: is for raw images'),
        (['-d', 'data/image.pkl;data/none.pkl'], 'data/none.pkl'),
        (['--lr', '0.1;1', '--trials', '0'], '--trials 0: must be a number'),
        (['--lr', '0.1;1', '--name', '../a'], '--name ../a: must be a name'),
        (['--lr', '0.1;1', '-p', 'a'], '--prefix: is no flag of a search'),
        (['--lr', '0.1;1', '--no_valid_data'], '--no_valid_data: is no flag of a search'),
        (['--lr', '0.1;1', '--recipe', 'airbench94'], '--recipe: trains without validation'),
        (['--lr', '0.1;1', '--iter', '1;2'], "--iter '1;2': must be the same in all trials"),
    ],
)
def test_mistakes_are_found_before_the_first_trial(folder, refused, flags, words):
    assert words in refused('search', *DATA.split(), '-b', '10', *flags)
    assert not pathlib.Path('results').exists() and not pathlib.Path('models').exists()


@needs_optuna
def test_a_damaged_journal(folder, refused):
    path = pathlib.Path('results/digits/journal.jsonl')
    path.parent.mkdir(parents=True)
    path.write_text('{}\n')
    for flags in ([], FLAGS):
        line = refused('search', *flags, '--name', 'digits')
        assert f'{path}: cannot be read (line 1: ' in line


def test_without_the_package(folder, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, 'optuna', None)
    assert "pip install --editable '.[search]'" in refused('search', *FLAGS)
