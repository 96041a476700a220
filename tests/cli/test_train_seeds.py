"""train.py --seeds: a run for several seeds, told together, stopped and resumed as a whole."""

import json
import pathlib
import re
import shutil
import signal
import statistics

import filelock
import pytest

from chainer_cifar.errors import Diverged, UserError
from chainer_cifar.evaluation import history
from chainer_cifar.runs import RunFolder
from chainer_cifar.training import divergence, log, seeds
from runs import SCRIPT, arrays, assert_same_arrays, environment, files, train, write_data

pytestmark = pytest.mark.usefixtures('without_curves')

DATA = '-d data/image.pkl -l data/label.pkl'
FLAGS = f'{DATA} -m residual --res_depth 1 -b 10 --iter 3 --optimizer adam'.split()


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """The finished run `many` of the seeds 1 to 3, and what was printed. Not to be changed."""
    folder = tmp_path_factory.mktemp('seeds')
    write_data(folder / 'data')
    done = train(*FLAGS, '--seeds', 3, '-p', 'many', cwd=folder)
    assert done.returncode == 0 and done.stderr == '', done.stderr
    return folder, done.stdout


@pytest.fixture
def own(finished, tmp_path, monkeypatch):
    """Work in a copy of it."""
    shutil.copytree(finished[0], tmp_path / 'own')
    monkeypatch.chdir(tmp_path / 'own')
    return tmp_path / 'own'


def assert_same_seed(folder, other, seed):
    log = pathlib.Path('results/many', f'seed{seed}', 'log.csv')
    assert (folder / log).read_bytes() == (other / log).read_bytes()
    best = pathlib.Path('models/many', f'seed{seed}', 'best.npz')
    assert_same_arrays(arrays(folder / best), arrays(other / best))


@pytest.mark.parametrize(
    ('text', 'expected'), [('3', (1, 2, 3)), ('0,5', (0, 5)), ('2, 1', (2, 1))]
)
def test_parse(text, expected):
    assert seeds.parse(text) == expected


@pytest.mark.parametrize(
    'text', ['', '1', '0', '-3', '1,1', '1,', 'a', '1.5', '101', '1,4294967296', '1' * 5000]
)
def test_parse_refuses(text):
    with pytest.raises(UserError, match=rf'^{re.escape(text)}: '):
        seeds.parse(text)


def test_each_seed_is_a_run_like_any_other(finished, own, command):
    """Also the second in one process: bit for bit that of its seed alone."""
    # Not in this process, which may have another number of threads.
    assert train(*FLAGS, '--seed', 2, '-p', 'alone', cwd=own).returncode == 0
    log = 'results/{}/log.csv'.format
    assert pathlib.Path(log('alone')).read_bytes() == pathlib.Path(log('many/seed2')).read_bytes()
    assert_same_arrays(arrays('models/alone/best.npz'), arrays('models/many/seed2/best.npz'))
    flags = json.loads(pathlib.Path('results/many/seed2/config.json').read_text())['flags']
    assert (flags['seed'], flags['prefix']) == (2, 'many/seed2')
    assert command('evaluate', 'many/seed2')[0] == 0


def test_mean_and_deviation(finished):
    folder, out = finished
    summary = json.loads((folder / 'results/many/summary.json').read_text())
    assert summary['state'] == 'finished, 3 seeds' and summary['seeds'] == [1, 2, 3]
    for name in ('valid_error', 'test_error'):
        errors = []
        for seed in (1, 2, 3):
            own = json.loads((folder / f'results/many/seed{seed}/summary.json').read_text())
            errors.append(own['best'][name])
        assert [run[name] for run in summary['runs']] == errors
        assert len(set(errors)) > 1 or name == 'test_error'  # of ten images
        assert summary['mean'][name] == pytest.approx(statistics.mean(errors))
        assert summary['sd'][name] == pytest.approx(statistics.stdev(errors))
    assert summary['mean']['seconds'] > 0
    table = (folder / 'results/many/summary.txt').read_text()
    assert table in out
    test = f'{summary["mean"]["test_error"]:.2f} ± {summary["sd"]["test_error"]:.2f}'
    assert test in table.splitlines()[-1] and table.splitlines()[-1].startswith('mean ± sd')


def test_goes_on_where_it_was_stopped(finished, tmp_path, spawn):
    write_data(tmp_path / 'data')
    process = spawn(SCRIPT, *FLAGS, '--seeds', '3', '-p', 'many', env=environment(), cwd=tmp_path)
    for line in process.stdout:
        if line.startswith('seed 2'):
            break
    for line in process.stdout:
        if re.match(' *1 ', line):  # the first epoch of the second seed
            break
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == (
        'train.py: stopped in seed 2, 2 of 3; continue with --resume -p many'
    )
    before = files(tmp_path / 'results/many/seed1') | files(tmp_path / 'models/many/seed1')
    summary = json.loads((tmp_path / 'results/many/summary.json').read_text())
    assert summary['state'] == 'unfinished, 1 of 3 seeds' and len(summary['runs']) == 1
    done = train('--resume', '-p', 'many', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'finished already' in done.stdout and 'resuming after iteration' in done.stdout
    after = files(tmp_path / 'results/many/seed1') | files(tmp_path / 'models/many/seed1')
    assert before == after
    for seed in (1, 2, 3):
        assert_same_seed(tmp_path, finished[0], seed)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_last_iteration_of_a_seed(tmp_path, monkeypatch, command, number):
    """As while its curves are drawn."""
    write_data(tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(log.Curves, 'draw', lambda self: signal.raise_signal(number))
        status, out, err = command('train', *FLAGS, '--iter', 1, '--seeds', 2, '-p', 'many')
    assert status == 128 + number and 'seed 2' not in out
    assert err.splitlines()[-1] == (
        'train.py: stopped in seed 1, 1 of 2; continue with --resume -p many'
    )
    status, out, err = command('train', '--resume', '-p', 'many')
    assert status == 0 and out.count('finished already') == 1, err
    assert json.loads(pathlib.Path('results/many/summary.json').read_text())['seeds'] == [1, 2]


def test_one_that_diverges_does_not_keep_the_others_from_training(tmp_path, monkeypatch, command):
    write_data(tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    nets = []

    def require_finite(net, iteration):
        if iteration == 1:
            nets.append(net)
        if len(nets) == 1:  # the first seed
            raise Diverged('training diverged: so it was told')

    monkeypatch.setattr(divergence, 'require_finite', require_finite)
    status, out, err = command('train', *FLAGS, '--iter', 1, '--seeds', 3, '-p', 'many')
    assert status == 2
    assert err.splitlines() == [
        'warning: seed 1: training diverged: so it was told',
        'train.py: error: 1 of 3 seeds diverged: 1',
    ]
    summary = json.loads(pathlib.Path('results/many/summary.json').read_text())
    assert summary['state'] == 'unfinished, 2 of 3 seeds'
    assert [row['seed'] for row in summary['runs']] == [2, 3]
    assert pathlib.Path('results/many/summary.txt').read_text().rstrip() in out
    # It begins again, and has another fate.
    status, out, err = command('train', '--resume', '-p', 'many')
    assert (status, err) == (0, '') and out.count('finished already') == 2


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_one_diverges(tmp_path, monkeypatch, command, number):
    def require_finite(net, iteration):
        signal.raise_signal(number)
        raise Diverged('training diverged: so it was told')

    write_data(tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(divergence, 'require_finite', require_finite)
    for flags, told in (
        (['--seeds', 2], 'stopped in seed 1, 1 of 2; continue with --resume -p many'),
        (['--overwrite'], 'training diverged: so it was told'),
    ):
        status, out, err = command('train', *FLAGS, *flags, '-p', 'many')
        assert status == 128 + number and 'seed 2' not in out
        assert err.splitlines()[-1] == f'train.py: {told}'


def test_all_diverge(tmp_path, monkeypatch, command):
    write_data(tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    flags = [*FLAGS, '--optimizer', 'sgd', '--lr', '1e30', '-p', 'many']
    for kind in ('seed', 'fold'):
        status, _, err = command('train', *flags, f'--{kind}s', 2, '--overwrite')
        assert status == 2 and 'Traceback' not in err
        assert err.count(f'warning: {kind} ') == err.count('--lr') == 2
        assert f'error: 2 of 2 {kind}s diverged: 1, 2' in err.splitlines()[-1]


def test_ctrl_c_before_overwrite_does_not_advise_to_resume_the_other_run(
    tmp_path, monkeypatch, command
):
    other = tmp_path / 'results/many/seeds.json'
    other.parent.mkdir(parents=True)
    other.write_text('{}')
    monkeypatch.chdir(tmp_path)

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(seeds.run, '_build', stop)
    status, _, err = command('train', *FLAGS, '--seeds', 2, '-p', 'many', '--overwrite')
    assert (status, err) == (130, 'train.py: interrupted\n') and other.read_text() == '{}'


def test_more_epochs_for_all(own, command):
    status, out, err = command('train', '--resume', 'results/many', '--iter', 4)
    assert status == 0 and out.count('resuming after iteration') == 3, err
    summary = json.loads((own / 'results/many/summary.json').read_text())
    assert [run['epochs'] for run in summary['runs']] == [4, 4, 4]
    # Also where this was told before and only some went on.
    shutil.rmtree(own / 'results/many/seed3')
    shutil.rmtree(own / 'models/many/seed3')
    status, out, _ = command('train', '--resume', '-p', 'many')
    assert status == 0 and out.count('finished already') == 2
    assert json.loads((own / 'results/many/seed3/summary.json').read_text())['epochs'] == 4


def test_seeds_that_patience_ended_are_finished(own, command):
    flags = ('--seeds', 2, '-p', 'early', '--optimizer', 'sgd', '--lr', 0, '--iter', 40)
    status, _, err = command('train', *FLAGS, *flags, '--patience', 1)
    assert status == 0, err
    summary = json.loads((own / 'results/early/summary.json').read_text())
    assert summary['state'] == 'finished, 2 seeds' and len(summary['runs']) == 2
    assert all(run['epochs'] < 40 for run in summary['runs'])
    status, out, _ = command('train', '--resume', '-p', 'early')
    assert status == 0 and out.count('finished already') == 2
    status, out, _ = command('train', '--resume', '-p', 'early', '--patience', 2)
    assert status == 0 and out.count('resuming after iteration') == 2


def test_those_that_patience_ended_count_beside_those_that_it_did_not():
    rows = [
        {'epoch': epoch, 'valid_error': error}
        for epoch, error in enumerate([30, 20, 10, 10, 15], 1)
    ]

    def one(count, **flags):
        described = {'flags': {'iter': 5, 'patience': 2, **flags}}
        return history.History(RunFolder('one'), described, rows[:count], {'epochs': count}, False)

    early, whole = one(5, iter=9), one(5, patience=0)
    going_on = [one(4), one(5, iter=9, patience=3), one(5, iter=9, patience=0)]
    several = history.SeveralSeeds(RunFolder('many'), (1, 2, 3), {}, (early, whole, going_on[0]))
    assert early.finished and whole.finished and not any(each.finished for each in going_on)
    assert several.counted == (early, whole) and several.state == 'unfinished, 2 of 3 seeds'


def test_all_seeds_are_of_the_same_data(own, command):
    shutil.rmtree(own / 'results/many/seed3')
    shutil.rmtree(own / 'models/many/seed3')
    write_data(own / 'data', seed=1)
    status, _, err = command('train', '--resume', '-p', 'many')
    assert status == 2 and err.count('\n') == 1
    assert 'seed 3: data/image.pkl: not the data this run began with' in err
    assert not (own / 'results/many/seed3').exists()


@pytest.mark.parametrize('kind', ['seed', 'fold'])
def test_who_overwrites_keeps_the_lock_of_what_is_trained(own, command, monkeypatch, kind):
    command('train', *FLAGS, '--iter', 1, f'--{kind}s', 3, '-p', 'many', '--overwrite')
    call, found = log.Log.__call__, []

    def look(self, trainer):
        found.append(RunFolder(pathlib.Path(trainer.out).relative_to('results')).in_use())
        return call(self, trainer)

    monkeypatch.setattr(log.Log, '__call__', look)
    flags = ['--iter', 1, f'--{kind}s', 2, '-p', 'many', '--overwrite']
    assert command('train', *FLAGS, *flags)[0] == 0
    assert found and all(found)


def test_overwrite(own, command, refused):
    for flags in (['--seeds', 2], []):
        message = refused('train', *FLAGS, *flags, '-p', 'many')
        assert 'results/many: holds a run already' in message
    with filelock.FileLock(own / 'models/many/seed2/.lock'):
        message = refused('train', *FLAGS, '-p', 'many', '--overwrite')
    assert 'models/many/seed2: another process is training into it; wait' in message
    assert (own / 'models/many/seed1/best.npz').exists()
    kept = own / 'results/many/notes.txt'
    kept.write_text('mine')
    assert (
        command('train', *FLAGS, '--iter', 1, '--seeds', '4,5', '-p', 'many', '--overwrite')[0] == 0
    )
    names = sorted(path.name for path in (own / 'results/many').iterdir())
    assert names == ['notes.txt', 'seed4', 'seed5', 'seeds.json', 'summary.json', 'summary.txt']
    # A run of one seed in its place.
    assert command('train', *FLAGS, '--iter', 1, '-p', 'many', '--overwrite')[0] == 0
    assert (
        not (own / 'results/many/seed4').exists() and not (own / 'results/many/seeds.json').exists()
    )
    assert kept.read_text() == 'mine'


def test_bad_data_costs_nothing(own, command):
    before = files(own)
    bad = [*FLAGS, '-d', 'data/none.pkl', '--seeds', 2, '-p', 'many', '--overwrite']
    status, _, err = command('train', *bad)
    assert status == 2 and 'data/none.pkl' in err
    assert {k: v for k, v in files(own).items() if not k.endswith('.lock')} == {
        k: v for k, v in before.items() if not k.endswith('.lock')
    }


@pytest.mark.parametrize('prefix', ['new', 'a/b'])
@pytest.mark.parametrize(
    ('flags', 'told'),
    [
        (['-d', 'data/none.pkl'], 'data/none.pkl'),
        (['-b', 99], '--batch_size 99'),
        (['--init', 'none.npz'], '--init none.npz'),
        (['--freeze', 'nothing'], '--freeze '),
    ],
)
def test_bad_input_leaves_no_folder(tmp_path, monkeypatch, command, flags, told, prefix):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / 'data')
    before = files(tmp_path)
    status, _, err = command('train', *FLAGS, '--seeds', 3, '-p', prefix, *flags)
    assert status == 2 and err.count('\n') == 1
    assert err.startswith(f'train.py: error: seed 1: {told}')
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ('flags', 'told'),
    [
        (['--seeds', '3', '--seed', '1'], '--seeds: has no meaning beside --seed'),
        (['--seeds', '3', '--dry_run'], '--seeds: has no meaning beside --dry_run'),
        (['--seeds', '3', '--resume'], '--seeds: has no meaning beside --resume'),
        (['--seeds', 'x'], '--seeds x: must be'),
        (['--resume', '--seed', '2'], '--seed: has no meaning for a run with several seeds'),
        (['--resume', '-b', '5'], '--batch_size 5: the run to resume was started with 10'),
    ],
)
def test_refusals(own, refused, flags, told):
    before = files(own)
    assert told in refused('train', '-p', 'many', *flags)
    assert files(own) == before


TYPES = '{"version": 1, "flags": {"lr_shape": 3}, "seeds": [1, 2]}'


def test_damaged_seeds_file(own, refused):
    for text in (
        '',
        '{}',
        '[]',
        '{"version": 1, "flags": {}, "seeds": ["x"]}',
        '{"version": 2}',
        TYPES,
    ):
        (own / 'results/many/seeds.json').write_text(text)
        reason = 'lr_shape must be a text, not 3' if text == TYPES else 'cannot be read'
        assert f'results/many/seeds.json: {reason}' in refused('train', '--resume', '-p', 'many')
