"""``train.py`` in several processes, as a user runs it."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import chainer
import numpy as np
import pytest

import runs
import several
from campaign.commands import facts_of
from chainer_cifar import nets
from chainer_cifar.parallel.launch import PROGRAM, find_mpirun

pytestmark = several.needs_mpi

FLAGS = ['-m', 'residual', '--res_depth', '1', '-b', '12', '--lr', '0.01', '--sync_bn', '-p', 'run']
ROOT = ['--allow-run-as-root'] if os.geteuid() == 0 else []


def command(*arguments, flags=FLAGS):
    return [sys.executable, str(runs.SCRIPT), *flags, *map(str, arguments)]


def train(folder, *arguments, flags=FLAGS, **more):
    return subprocess.run(
        command(*arguments, flags=flags),
        cwd=folder,
        env=several.environment(**more),
        capture_output=True,
        text=True,
        timeout=170,
    )


def new_folder(parent, name):
    folder = parent / name
    folder.mkdir()
    runs.write_data(folder / 'dataset', n_train=60, n_test=20)
    return folder


def losses(folder):
    rows = json.loads((folder / 'results/run/log.json').read_text())
    names = sorted(name for name in rows[0] if name.endswith('loss'))
    return np.array([[row[name] for name in names] for row in rows])


def assert_same_losses(folder, of_one):
    # Sums in another order: 2e-5 after an epoch, 3e-4 after three where a unit within rounding of
    # zero falls on the other side of its ReLU. Without --sync_bn: 1e-3 and more after one.
    got, wanted = losses(folder), losses(of_one)
    np.testing.assert_allclose(got[0], wanted[0], rtol=2e-4)
    np.testing.assert_allclose(got, wanted, rtol=2e-3)


def test_any_number_of_processes_gives_the_same_losses_and_files(tmp_path):
    found = {}
    for count in (1, 2, 4):
        found[count] = folder = new_folder(tmp_path, str(count))
        # Nothing is imported from the current directory.
        (folder / 'tokenize.py').write_text("raise RuntimeError('of the user')")
        done = train(folder, '--iter', 3, '--processes', count)
        assert done.returncode == 0 and done.stderr == '', done.stderr
        assert [len(re.findall(rf'^ +{n} ', done.stdout, re.M)) for n in (1, 2, 3)] == [1] * 3
        assert (f'{count} processes' in done.stdout) == (count > 1)
    names = set(runs.files(found[1]))
    for count in (2, 4):
        assert_same_losses(found[count], found[1])
        assert set(runs.files(found[count])) == names
    config = json.loads((found[4] / 'results/run/config.json').read_text())
    assert config['flags']['processes'] == 4 and config['command'][0].endswith('train.py')


@pytest.mark.parametrize(
    'net',
    [
        ['-m', 'cnnwn'],  # whose first mini-batch sets parameters
        ['-m', 'cnnbn', '--sync_bn', '--freeze', 'bconv1'],  # what is frozen needs no other
    ],
    ids=' '.join,
)
def test_normalization_is_that_of_one_process(tmp_path, net):
    flags = [*net, '-b', '12', '--lr', '0.001', '--iter', '2', '-p', 'run']
    found = {}
    for count in (1, 2):
        found[count] = folder = new_folder(tmp_path, str(count))
        done = train(folder, '--processes', count, flags=flags)
        assert done.returncode == 0, done.stderr
    assert_same_losses(found[2], found[1])


class Running:
    """A run of two processes that has got as far as the second epoch, unless not to `wait`."""

    def __init__(self, folder, *arguments, wait=True):
        self.err = folder / 'err'
        with open(folder / 'out', 'w') as out, open(self.err, 'w') as err:
            self.popen = subprocess.Popen(
                command('--iter', 4000, '--processes', 2, *arguments),
                cwd=folder,
                env=several.environment(),
                stdout=out,
                stderr=err,
            )
        end = time.monotonic() + 100
        while wait and not re.search('^ +2 ', (folder / 'out').read_text(), re.M):
            assert self.popen.poll() is None and time.monotonic() < end, self.err.read_text()
            time.sleep(0.1)

    def descendants(self):
        """Process ids and command lines: mpirun and the processes that train."""
        table = {}
        for path in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                above = int(facts_of(path)[1])
                table[int(path.name)] = above, (path / 'cmdline').read_bytes()
            except OSError:  # gone
                continue
        todo, found = [self.popen.pid], {}
        while todo:
            parent = todo.pop()
            for pid, (above, words) in table.items():
                if above == parent:
                    found[pid] = words
                    todo.append(pid)
        return found

    def trainers(self):
        """Process ids of those that train."""
        family = self.descendants().items()
        program = os.fsencode(PROGRAM)
        found = [pid for pid, words in family if words.split(b'\0')[1:2] == [program]]
        assert len(found) == 2
        return found

    def ended(self, seconds=40):
        """The exit status and what it wrote to standard error."""
        try:
            return self.popen.wait(seconds), self.err.read_text()
        finally:
            if self.popen.poll() is None:
                self.popen.terminate()


needs_proc = pytest.mark.skipif(not os.path.exists('/proc/self'), reason='no /proc')


def alive(pids):
    end = time.monotonic() + 10
    while left := [pid for pid in pids if _runs(pid)]:
        if time.monotonic() > end:
            break
        time.sleep(0.2)
    return left


def _runs(pid):
    return state(pid) not in ('', 'Z')


def state(pid):
    """The letter for the state of a process, such as T for a stopped one; empty if it is gone."""
    try:
        return facts_of(pathlib.Path(f'/proc/{pid}'))[0]
    except OSError:
        return ''


def until(holds):
    end = time.monotonic() + 30
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.1)
    return held


def may_mount():
    trial = ['unshare', '-m', 'mount', '-t', 'tmpfs', 'test', '/dev/shm']
    try:
        return subprocess.run(trial, capture_output=True).returncode == 0
    except OSError:
        return False


@needs_proc
@pytest.mark.parametrize('victim', ['one', 'mpirun'])
def test_if_one_is_killed_all_end_with_a_line(tmp_path, victim):
    run = Running(new_folder(tmp_path, 'x'))
    family, trainers = run.descendants(), run.trainers()
    assert len(family) > 2
    chosen = trainers[1] if victim == 'one' else min(set(family) - set(trainers))
    os.kill(chosen, signal.SIGKILL)
    status, err = run.ended()
    assert status == 2 and err.count('\n') == 1, err
    assert err.startswith('train.py: error: ') and '--resume' in err
    assert alive(family) == []


@needs_proc
def test_stop_interrupt_and_resume_bit_for_bit_and_with_another_number(tmp_path):
    folder, whole = new_folder(tmp_path, 'x'), new_folder(tmp_path, 'whole')
    run = Running(folder)
    stopped = run.trainers()[1]
    os.kill(stopped, signal.SIGSTOP)
    time.sleep(2)
    os.kill(stopped, signal.SIGCONT)
    run.popen.send_signal(signal.SIGINT)
    status, err = run.ended()
    assert status == 130 and 'continue with --resume -p run' in err, err
    done = len(json.loads((folder / 'results/run/log.json').read_text()))
    resumed = train(folder, '--resume', '--iter', done + 2)
    assert resumed.returncode == 0 and resumed.stderr == '', resumed.stderr
    assert '2 processes' in resumed.stdout
    assert train(whole, '--iter', done + 2, '--processes', 2).returncode == 0
    runs.assert_same_run(folder, whole)
    other = train(folder, '--resume', '--iter', done + 3, '--processes', 1)
    assert other.returncode == 0 and 'within rounding' in other.stderr


@needs_proc
def test_ctrl_c_before_they_have_begun_ends_them_when_they_do(tmp_path):
    run = Running(new_folder(tmp_path, 'x'), wait=False)
    deadline = time.monotonic() + 150
    while not any(b'-np' in words for words in run.descendants().values()):
        assert time.monotonic() < deadline and run.popen.poll() is None
        time.sleep(0.01)
    run.popen.send_signal(signal.SIGINT)
    status, err = run.ended(150)
    assert status == 130 and 'Traceback' not in err and 'train.py: ' in err, err


@needs_proc
def test_ctrl_z_stops_all_and_the_terminal_lost_ends_all(tmp_path, monkeypatch):
    (tmp_path / 'tmp').mkdir()
    monkeypatch.setenv('TMPDIR', str(tmp_path / 'tmp'))
    run = Running(new_folder(tmp_path, 'x'))
    family = [run.popen.pid, *run.trainers()]
    run.popen.send_signal(signal.SIGTSTP)
    assert until(lambda: [state(pid) for pid in family] == ['T'] * 3)
    run.popen.send_signal(signal.SIGCONT)
    assert until(lambda: 'T' not in [state(pid) for pid in family])
    run.popen.send_signal(signal.SIGHUP)
    status, err = run.ended()
    assert status == 128 + signal.SIGHUP and err == 'train.py: interrupted\n', err
    assert alive(family[1:]) == [] and os.listdir(tmp_path / 'tmp') == []


def test_mpirun_that_the_user_calls_and_what_differs(tmp_path):
    folder = new_folder(tmp_path, 'x')
    runs.write_data(folder / 'other', seed=1, n_train=60, n_test=20)
    mpirun = [find_mpirun(), *ROOT, '--oversubscribe', '--bind-to', 'none']
    own = ['-np', '1', *command('--iter', 1)]
    other = ['-d', 'other/image.pkl', '-l', 'other/label.pkl']
    found = []
    again = ['--overwrite']
    for more, status in (
        (again, 0),
        ([*again, *other], 2),
        ([*again, '-d', 'missing.pkl'], 2),
        ([*again, '--lr', '1'], 2),
        (['--dry_run'], 2),
    ):
        done = subprocess.run(
            [*mpirun, *own, *again, ':', *own, *more],
            cwd=folder,
            env=several.environment(),
            capture_output=True,
            text=True,
            timeout=100,
        )
        lines = re.findall(
            r'train\.py: .*', done.stderr
        )  # mpirun's own may come before it in a line
        assert done.returncode == status and len(lines) == bool(status), done.stderr
        found += lines
    assert 'of process 1 ' in found[0] and 'differs' in found[0]
    assert 'error: process 1 (on ' in found[1] and 'missing.pkl' in found[1]
    for line in found[2:]:
        assert 'error: the command line of process 1 (on ' in line and 'differs' in line


@pytest.mark.parametrize(
    ('arguments', 'status', 'once'),
    [
        ('--modle vgg', 2, "train.py: error: no flag is called '--modle'"),
        ('--help', 0, 'usage: train.py '),
        ('--list_recipes', 0, 'airbench94'),  # --list_models takes seconds
    ],
)
def test_what_all_would_print_is_printed_once(tmp_path, arguments, status, once):
    mpirun = [find_mpirun(), *ROOT, '--oversubscribe', '--bind-to', 'none', '-np', '2']
    done = subprocess.run(
        [*mpirun, *command(*arguments.split())],
        cwd=tmp_path,
        env=several.environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == status, done.stderr
    assert len(re.findall(f'^{once}', done.stdout + done.stderr, re.M)) == 1, done.stderr


def test_what_only_the_first_cannot_write_ends_all(tmp_path):
    folder = new_folder(tmp_path, 'x')
    (folder / 'models/run/epoch-0001.npz').mkdir(parents=True)
    (folder / 'models/run/epoch-0001.npz/file').touch()
    done = train(folder, '--iter', 3, '--save_iter', 1, '--processes', 2)
    assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr
    assert 'models/run/epoch-0001.npz: ' in done.stderr


BREAK = """
import os, sys
if os.environ.get('OMPI_COMM_WORLD_RANK', os.environ.get('PMI_RANK')) == '{}':
    import chainer_compat
    from chainer_cifar.training import log, run, trainer
    def fail(*arguments):
        {}
    {} = fail
"""


def breaking(folder, place, what, rank=1):
    """A PYTHONPATH with which `what` happens in a process where `place` is called."""
    (folder / 'site').mkdir()
    (folder / 'site/sitecustomize.py').write_text(BREAK.format(rank, what, place))
    return os.pathsep.join([str(runs.SCRIPT.parent), str(folder / 'site')])


@pytest.mark.parametrize(
    ('what', 'status', 'first', 'last'),
    [
        (
            "raise OSError(28, 'No space left on device', 'scratch')",
            2,
            'train.py: error: process 1 (on ',
            'scratch: No space left on device',
        ),
        ('sys.exit(0)', 1, 'process 1 (on ', 'RuntimeError: sys.exit(0) while training'),
    ],
)
def test_what_only_another_than_the_first_does_ends_all(tmp_path, what, status, first, last):
    folder = new_folder(tmp_path, 'x')
    paths = breaking(tmp_path, 'trainer.loss_and_errors', what)
    done = train(folder, '--iter', 3, '--processes', 2, PYTHONPATH=paths)
    assert done.returncode == status, done.stderr
    assert done.stderr.startswith(first) and done.stderr.endswith(f'{last}\n'), done.stderr
    assert json.loads((folder / 'results/run/config.json').read_text())


def test_the_first_may_take_its_time_to_draw_the_curves_of_what_diverged(tmp_path):
    folder = new_folder(tmp_path, 'x')
    paths = breaking(tmp_path, 'log.Curves.finalize', 'import time; time.sleep(5)', rank=0)
    flags = [*FLAGS, '--lr', '1e9', '--normalize', 'none']
    done = train(folder, '--iter', 3, '--processes', 2, flags=flags, PYTHONPATH=paths)
    assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr
    assert done.stderr.startswith('train.py: error: training diverged: '), done.stderr


@pytest.mark.skipif(not may_mount(), reason='needs root, to mount a tmpfs')
def test_where_there_is_little_shared_memory(tmp_path):
    folder = new_folder(tmp_path, 'x')
    mount = 'mount -t tmpfs -o size=12m test /dev/shm && exec "$@"'
    done = subprocess.run(
        ['unshare', '-m', 'sh', '-c', mount, 'sh', *command('--iter', 1, '--processes', 2)],
        cwd=folder,
        env=several.environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0 and done.stderr == '', done.stderr


def test_in_a_job_of_several_nodes_all_are_on_this_one(tmp_path):
    folder = new_folder(tmp_path, 'x')
    here = os.uname().nodename
    names = dict.fromkeys(('SLURM_NODELIST', 'SLURM_JOB_NODELIST'), f'{here},another')
    job = {'SLURM_JOB_ID': '7', 'SLURM_NNODES': '2', 'SLURM_TASKS_PER_NODE': '1(x2)', **names}
    done = train(folder, '--iter', 1, '--processes', 2, **job)
    assert done.returncode == 0 and done.stderr == '', done.stderr


def test_only_the_first_needs_the_file_of_init(tmp_path):
    folder = new_folder(tmp_path, 'x')
    weights = nets.create('residual', 3, res_depth=1)
    chainer.serializers.save_npz(folder / 'weights.npz', weights)
    flags = ['--iter', 1, '--init', 'weights.npz', '--processes', 2]
    paths = breaking(tmp_path, 'run.initialize', "raise OSError('not on this machine')")
    done = train(folder, *flags, PYTHONPATH=paths)
    assert done.returncode == 0 and done.stderr == '', done.stderr
    assert done.stdout.count(' arrays (') == 1


def test_gpus_without_nccl(tmp_path):
    folder = new_folder(tmp_path, 'x')
    (tmp_path / 'site/cupy').mkdir(parents=True)
    (tmp_path / 'site/cupy/__init__.py').write_text("raise ImportError('none here')")
    done = train(folder, '-g', '0,1', PYTHONPATH=str(tmp_path / 'site'))
    assert done.returncode == 2 and done.stderr.count('\n') == 1, done.stderr
    assert done.stderr.startswith('train.py: error: -g: several GPUs need NCCL (')


@pytest.mark.parametrize(
    ('words', 'status', 'found'),
    [
        ("raise ImportError('no libmpi here')", 2, 'error: several processes need MPI ('),
        # As MPI itself does, which tells it and ends the process.
        ("import os; os.write(2, b'no libmpi here'); os._exit(7)", 2, 'could not begin: '),
        ("raise ValueError('no libmpi here')", 1, 'Traceback'),
    ],
)
def test_why_they_cannot_begin(tmp_path, words, status, found):
    folder = new_folder(tmp_path, 'x')
    (tmp_path / 'site/mpi4py').mkdir(parents=True)
    (tmp_path / 'site/mpi4py/__init__.py').write_text(words)
    done = train(folder, '--iter', 1, '--processes', 2, PYTHONPATH=str(tmp_path / 'site'))
    assert done.returncode == status, done.stderr
    assert found in done.stderr and 'no libmpi here' in done.stderr, done.stderr
    assert '--resume' not in done.stderr and (status == 1 or done.stderr.count('\n') == 1)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('--processes 5', '--batch_size 12: cannot be shared out evenly to 5 processes'),
        ('--processes 2 --seeds 2', '--seeds: runs in one process only'),
        ('--processes 2 --find_lr', '--find_lr: runs in one process only'),
        ('-g 0,0', '-g 0,0: must be the index of one GPU, or of several different ones'),
        ('-g 0,1 --processes 3', '-g 0,1: must name a GPU for each of the 3 processes'),
        ('-g 0 --processes 2', '-g 0: must name a GPU for each of the 2 processes'),
        ('--processes 2 -d missing.pkl', 'missing.pkl'),
    ],
)
def test_refusals(arguments, message, tmp_path, monkeypatch, capsys):
    from chainer_cifar import cli

    monkeypatch.chdir(tmp_path)
    assert cli.run('train', [*FLAGS, *arguments.split()], 'train.py') == 2
    err = capsys.readouterr().err
    assert message in err and err.count('\n') == 1
