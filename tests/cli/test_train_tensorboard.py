"""``train.py --tensorboard``: what a reader of the event files finds, also after a kill."""

import itertools
import json
import pathlib
import shutil
import sys

import pytest

from chainer_cifar.runs import RunFolder
from chainer_cifar.training import tensorboard
from runs import write_data

pytestmark = pytest.mark.usefixtures('without_curves')

REASON = "needs the extra tensorboard: pip install '.[tensorboard]'"
DATA = '-d data/image.pkl -l data/label.pkl'
FLAGS = [*f'{DATA} -m residual --res_depth 1 -b 10 -p run'.split(), '--tensorboard']
FOLDER = pathlib.Path('results/run/tensorboard')


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pytest.importorskip('tensorboardX', reason=REASON)
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / 'data')
    return tmp_path


def files():
    return sorted(FOLDER.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def values():
    """Of every tag, a list of (step, value or None)."""
    found = {}
    for path in files():
        read = list(tensorboard.events(path))
        assert read[-1][1] == path.stat().st_size, 'the file has a torn end'
        for event, _ in read:
            for value in event.summary.value:
                number = value.simple_value if value.HasField('simple_value') else None
                found.setdefault(value.tag, []).append((event.step, number))
    return found


def assert_complete(epochs):
    """Each epoch is there once, with what the log says of it."""
    found = values()
    rows = json.loads(pathlib.Path('results/run/log.json').read_text())
    assert len(rows) == epochs
    for tag, column in tensorboard.TAGS.items():
        if column in rows[0]:
            expected = [(row['epoch'], pytest.approx(row[column], rel=1e-6)) for row in rows]
            assert found[tag] == expected, tag
        else:
            assert tag not in found
    assert len(found['_hparams_/session_start_info']) == 1
    return found


def test_a_run_resumed_and_one_killed(folder, command):
    status, _, err = command('train', *FLAGS, '--iter', 2)
    assert (status, err) == (0, '')
    found = assert_complete(2)
    assert [step for step, _ in found['images_per_second']] == [1, 2]
    assert all(speed > 0 for _, speed in found['images_per_second'])
    kernels = [tag for tag in found if tag.startswith('weights/')]
    assert len(kernels) > 3 and all(len(found[tag]) == 2 for tag in kernels)
    (old,) = RunFolder('run').models.glob('snapshot-*8.npz')
    shutil.copy(old, 'kept.npz')

    assert command('train', '--resume', '-p', 'run', '--iter', 4)[0] == 0
    assert_complete(4)
    assert len(files()) == 2
    # A process that was killed before its snapshot had written epochs that come again; one that
    # was killed while it wrote left half a record.
    for snapshot in RunFolder('run').snapshots():
        snapshot.unlink()
    shutil.copy('kept.npz', old)
    with open(files()[-1], 'ab') as file:
        file.write(files()[0].read_bytes()[:70])
    assert command('train', '--resume', '-p', 'run', '--iter', 4)[0] == 0
    found = assert_complete(4)
    assert [step for step, _ in found['images_per_second']] == [1, 2, 3, 4]
    # Nothing happens where nothing is left to do.
    before = {path: path.read_bytes() for path in files()}
    assert command('train', '--resume', '-p', 'run')[0] == 0
    assert {path: path.read_bytes() for path in files()} == before
    assert command('train', *FLAGS[:-1], '--iter', 1, '--overwrite')[0] == 0
    assert not FOLDER.exists()


def test_it_may_begin_later(folder, command):
    assert command('train', *FLAGS[:-1], '--iter', 2)[0] == 0
    assert not FOLDER.exists()
    assert command('train', '--resume', '-p', 'run', '--iter', 3, '--tensorboard')[0] == 0
    found = assert_complete(3)
    assert [step for step, _ in found['images_per_second']] == [3]


def test_every_cut_is_survived(folder, command):
    """Wherever a file ends, all whole records before are read."""
    assert command('train', *FLAGS, '--iter', 1)[0] == 0
    (path,) = files()
    content = path.read_bytes()
    ends = [0, *(end for _, end in tensorboard.events(path))]
    assert ends[-1] == len(content)
    for before, after in itertools.pairwise(ends):
        for size in {before, before + 1, (before + after) // 2, after - 1}:
            path.write_bytes(content[:size])
            assert [end for _, end in tensorboard.events(path)][-1:] == ([before] if before else [])
    damaged = bytearray(content)
    damaged[ends[2] + 20] ^= 1
    path.write_bytes(damaged)
    assert [end for _, end in tensorboard.events(path)] == ends[1:3]


def test_without_the_package(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / 'data')
    monkeypatch.setitem(sys.modules, 'tensorboardX', None)
    monkeypatch.delitem(sys.modules, 'tensorboardX.summary', raising=False)
    line = refused('train', *FLAGS)
    assert '--tensorboard needs a package' in line and "--editable '.[tensorboard]'" in line
    assert not pathlib.Path('results').exists()
