"""In how many processes ``train.py`` trains, and on which devices, without any of them."""

import contextlib
import json
import tempfile
import types

import chainer
import pytest

from chainer_cifar import cli
from chainer_cifar.commands import train
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.parallel import environment, launch, world
from chainer_cifar.runs import RunFolder
from chainer_cifar.training import description, run


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Write the description of a run that began and resumed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'results/run').mkdir(parents=True)

    def write(*parts):
        parts = [{'versions': {}, 'device': {}, **part} for part in parts]
        description = {**parts[0], 'data_checksum': '', 'resumed': parts[1:]}
        (tmp_path / 'results/run/config.json').write_text(json.dumps(description))

    return write


def started(monkeypatch, *arguments):
    """How many processes the command starts, or the flags with which it resumes by itself."""
    found = []
    monkeypatch.setattr(train, 'launch', lambda count, argv, prog: found.append(count) or 0)
    monkeypatch.setattr(train.run, 'resume', lambda folder, flags, path: found.append(flags))
    status = cli.run('train', ['-p', 'run', *arguments], 'train.py')
    assert len(found) == (status == 0)
    return found[0] if found else status


def test_a_run_resumed_with_one_process_records_one(saved, monkeypatch):
    # The newest snapshot may be from before the first resumption: with two.
    saved({'flags': {'processes': 2}}, {'flags': {'processes': 1}})
    assert started(monkeypatch, '--resume') == {'prefix': 'run', 'processes': 1}


ON_GPUS = {'flags': {'processes': 2, 'gpu': 3}, 'gpus': [3, 1]}
OF_AN_EARLIER_VERSION = {'flags': {'processes': 2, 'gpu': 3}}
OF_THREE = {'flags': {'processes': 3, 'gpu': -1, 'batch_size': 96}}


@pytest.mark.parametrize(
    ('before', 'arguments', 'expected'),
    [
        (ON_GPUS, '', 2),
        (ON_GPUS, '--processes 2', 2),
        (ON_GPUS, '--processes 1', {'processes': 1}),
        (ON_GPUS, '-g 0', {'gpu': 0, 'processes': 1}),
        (ON_GPUS, '-g 0,1,2', 3),
        (ON_GPUS, '-g -1', 2),
        (ON_GPUS, '-g -1 --processes 4', 4),
        (ON_GPUS, '--processes 4', '-g 3,1: must name a GPU for each of the 4 processes'),
        (OF_AN_EARLIER_VERSION, '', '-g 3: must name a GPU for each of the 2 processes'),
        (OF_AN_EARLIER_VERSION, '-g 3,1', 2),
        ({'flags': {'processes': 2, 'gpu': -1}}, '', 2),
        # Not of the default of 100 images in a mini-batch.
        (OF_THREE, '', 3),
        (OF_THREE, '--processes 6', 6),
        (OF_THREE, '-b 96 --processes 5', '--batch_size 96: cannot be shared out evenly to 5'),
        (OF_THREE, '--processes 0', '--processes 0: must be a number from 1 up'),
        ({**ON_GPUS, 'gpus': ['3']}, '-g 0,1', "'gpus' in it is not a list of numbers"),
    ],
)
def test_how_many_go_on(saved, monkeypatch, capsys, before, arguments, expected):
    saved(before)
    found = started(monkeypatch, '--resume', *arguments.split())
    if isinstance(expected, str):
        err = capsys.readouterr().err
        assert found == 2 and expected in err and err.count('\n') == 1
    else:
        assert found == ({'prefix': 'run', **expected} if isinstance(expected, dict) else expected)


@pytest.mark.parametrize('arguments', ['--processes 2', '-g 0,1'])
def test_several_seeds_go_on_in_one_process(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'results/run').mkdir(parents=True)
    (tmp_path / 'results/run/seeds.json').write_text('{}')
    assert started(monkeypatch, '--resume', *arguments.split()) == 2
    err = capsys.readouterr().err
    assert err == (
        'train.py: error: --resume run: runs in one process only; leave out --processes (or -g 0)\n'
    )
    # Also where mpirun has started them.
    monkeypatch.setattr(world, 'current', Pretended(2))
    monkeypatch.setenv('OMPI_COMM_WORLD_SIZE', '2')
    monkeypatch.setattr(train, 'together', lambda started: contextlib.nullcontext())
    assert started(monkeypatch, '--resume') == 2
    assert '--resume run: runs in one process only' in capsys.readouterr().err


class Pretended(world.World):
    """The last of some processes on a machine."""

    def __init__(self, count):
        self.rank = self.local_rank = count - 1
        self.size = self.local_size = count

    def use_gpus(self, gpus):
        self.gpus = gpus


@pytest.mark.parametrize(
    ('count', 'visible', 'arguments', 'expected'),
    [
        (2, '', '--resume', (1, (3, 1))),
        (2, '', '--resume -g 0,2', (2, (0, 2))),
        (2, '', '--resume -g -1', (-1, ())),
        (3, '', '--resume -g -1', (-1, ())),  # of whatever mini-batch the run has
        (3, '', '-b 100 -g -1', '--batch_size 100: cannot be shared out evenly to 3 processes'),
        (2, '', '-g 0,2', (2, (0, 2))),
        (2, '', '', (None, ())),
        (4, '', '-g 0,1', '-g 0,1: must name a GPU for each of the 4 processes'),
        (2, '0,1', '-g 0', '-g 0: must name a GPU for each of the 2 processes'),
        (4, '', '--resume', '-g 3,1: must name a GPU for each of the 4 processes'),
        (4, '2', '-g 0', (0, (0,))),  # by Slurm: each task sees another one
    ],
)
def test_each_process_takes_its_gpu(
    saved, monkeypatch, capsys, count, visible, arguments, expected
):
    saved({'flags': {'processes': 2, 'gpu': -1}}, ON_GPUS)
    here, found = Pretended(count), []
    monkeypatch.setattr(world, 'current', here)
    monkeypatch.setenv('OMPI_COMM_WORLD_SIZE', str(count))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    monkeypatch.setattr(train, 'together', lambda started: contextlib.nullcontext())
    monkeypatch.setattr(train, '_train', lambda given, flags, config: found.append(flags))
    status = cli.run('train', ['-p', 'run', *arguments.split()], 'train.py')
    if isinstance(expected, str):
        assert status == 2 and found == [] and expected in capsys.readouterr().err
    else:
        assert status == 0 and found[0]['processes'] == count
        assert (found[0].get('gpu'), here.gpus) == expected


def test_the_gpus_are_kept_with_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = types.SimpleNamespace(class_names=('a',), shape=(3, 32, 32), checksum=lambda: '')
    transform = types.SimpleNamespace(write=lambda path: path.parent.mkdir(parents=True))
    folder, device = RunFolder('run'), chainer.get_device('@numpy')
    places = []
    for gpus in (3, 1), (1, 3, 2), (1, 2, 3), ():
        here = Pretended(max(1, len(gpus)))
        here.use_gpus(gpus)
        monkeypatch.setattr(world, 'current', here)
        first = gpus[0] if gpus else -1
        config = TrainConfig(prefix='run', gpu=first, batch_size=12, processes=here.size)
        if places:
            description.add_resumption(folder, config, device, iteration=7)
        else:
            description.begin(folder, config, device, data, transform)
        places.append(run.place(folder))
    assert places == [(2, (3, 1)), (3, (1, 3, 2)), (3, (1, 2, 3)), (1, ())]


def test_who_has_a_gpu_of_its_own():
    sees = [environment.sees_one_gpu({'CUDA_VISIBLE_DEVICES': each}) for each in ('', '1', '0,1')]
    assert sees == [False, True, False] and not environment.sees_one_gpu({})


def test_a_temporary_folder_that_is_too_deep_for_a_socket(tmp_path, monkeypatch):
    deep = tmp_path / ('x' * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(deep))
    monkeypatch.setattr(launch, 'find_mpirun', lambda: '/bin/false')
    with pytest.raises(UserError, match=r'^--processes: cannot make a socket .* set TMPDIR to'):
        launch.launch(2, [], 'train.py')
    assert list(deep.iterdir()) == []
