import errno
import fcntl
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from chainer_cifar import files
from chainer_cifar.files import (
    atomic_write,
    move_folder,
    naming,
    open_bytes,
    open_text,
    remove_leftovers,
    temporary_folder,
)

SRC = str(pathlib.Path(__file__).parents[1] / 'src')
KILLED = """
import os
import signal
from chainer_cifar.files import atomic_write
with atomic_write('file') as file:
    file.write(b'half of the n')
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_writes_and_replaces(tmp_path):
    path = tmp_path / 'new' / 'file.txt'
    for text in ('first', 'second'):
        with atomic_write(path, 'w') as file:
            file.write(text)
        assert path.read_text() == text
    assert os.listdir(path.parent) == ['file.txt']


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / 'file'
    path.write_bytes(b'old')
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b'half of the n')
        raise error
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['file']


def test_leftovers_of_a_killed_process_go(tmp_path):
    kept = {'.lock', 'file', 'other.tmp'}
    for name in kept:
        (tmp_path / name).touch()
    subprocess.run([sys.executable, '-c', KILLED], cwd=tmp_path, env={'PYTHONPATH': SRC})
    assert len(os.listdir(tmp_path)) == 4
    remove_leftovers(tmp_path)
    assert set(os.listdir(tmp_path)) == kept


def test_the_next_write_removes_what_a_killed_one_left(tmp_path):
    subprocess.run([sys.executable, '-c', KILLED], cwd=tmp_path, env={'PYTHONPATH': SRC})
    assert len(os.listdir(tmp_path)) == 1
    with atomic_write(tmp_path / 'file.2') as file:
        file.write(b'of another file')
    assert len(os.listdir(tmp_path)) == 2
    with atomic_write(tmp_path / 'file') as file:
        file.write(b'new')
    assert set(os.listdir(tmp_path)) == {'file', 'file.2'}


KILLED_IN_FOLDER = """
import os
import signal
from chainer_cifar.files import temporary_folder
with temporary_folder('new', 'images') as folder:
    (folder / 'file').touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_folder_removes_what_a_killed_one_left(tmp_path):
    program = [sys.executable, '-c', KILLED_IN_FOLDER]
    subprocess.run(program, cwd=tmp_path, env={'PYTHONPATH': SRC})
    assert len(os.listdir(tmp_path / 'new')) == 1
    with temporary_folder(tmp_path / 'new', 'others'):
        assert len(os.listdir(tmp_path / 'new')) == 2
    with temporary_folder(tmp_path / 'new', 'images') as folder:
        assert os.listdir(tmp_path / 'new') == [folder.name]
        with temporary_folder(tmp_path / 'new', 'images') as second:
            assert set(os.listdir(tmp_path / 'new')) == {folder.name, second.name}
    assert os.listdir(tmp_path / 'new') == []


def test_a_folder_is_moved_or_leaves_nothing(tmp_path):
    target = tmp_path / 'new' / 'images'
    for text in ('first', 'second'):
        with temporary_folder(target.parent, 'images') as folder:
            (folder / 'file').write_text(text)
            move_folder(folder, target)
        assert (target / 'file').read_text() == text and os.listdir(target.parent) == ['images']
    with pytest.raises(KeyError), temporary_folder(tmp_path / 'other' / 'new', 'images'):
        raise KeyError
    assert os.listdir(tmp_path) == ['new']


@pytest.fixture
def replaced(tmp_path):
    """A folder that holds `old`, in a folder of its own."""
    target = tmp_path / 'new' / 'images'
    target.mkdir(parents=True)
    (target / 'file').write_text('old')
    return target


def replace(target):
    with temporary_folder(target.parent, 'images') as folder:
        (folder / 'file').write_text('new')
        move_folder(folder, target)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='takes two steps elsewhere')
def test_a_folder_is_replaced_in_one_step(replaced, monkeypatch):
    monkeypatch.delattr(pathlib.Path, 'rename')  # with which it is nowhere for a moment
    replace(replaced)
    assert (replaced / 'file').read_text() == 'new' and os.listdir(replaced.parent) == ['images']


KILLED_BETWEEN = """
import os
import pathlib
import signal
from chainer_cifar import files
files._exchange = lambda one, other: False
rename = pathlib.Path.rename
def once(path, target):
    rename(path, target)
    os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.rename = once
with files.temporary_folder('new', 'images') as folder:
    (folder / 'file').write_text('new')
    files.move_folder(folder, pathlib.Path('new/images'))
"""


def test_a_folder_that_was_killed_between_two_steps_comes_back(replaced, tmp_path):
    program = [sys.executable, '-c', KILLED_BETWEEN]
    subprocess.run(program, cwd=tmp_path, env={'PYTHONPATH': SRC})
    assert not replaced.exists()
    with temporary_folder(replaced.parent, 'images'):
        assert (replaced / 'file').read_text() == 'old'
    assert os.listdir(replaced.parent) == ['images']


def test_a_folder_stays_if_the_new_one_cannot_be_flushed(replaced, monkeypatch):
    monkeypatch.setattr(os, 'fsync', broken)
    with pytest.raises(OSError, match='Input/output error') as error:
        replace(replaced)
    assert pathlib.Path(error.value.filename).name == 'file'
    assert (replaced / 'file').read_text() == 'old' and os.listdir(replaced.parent) == ['images']


def test_a_folder_stays_if_the_new_one_cannot_get_its_name(replaced, monkeypatch):
    rename = pathlib.Path.rename
    monkeypatch.setattr(files, '_exchange', lambda one, other: False)
    monkeypatch.setattr(
        pathlib.Path,
        'rename',
        lambda path, to: (broken if (path / 'file').read_text() == 'new' else rename)(path, to),
    )
    with pytest.raises(OSError, match='Input/output error'):
        replace(replaced)
    assert (replaced / 'file').read_text() == 'old' and os.listdir(replaced.parent) == ['images']


def broken(*arguments):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_that_is_being_written_stays(tmp_path):
    with atomic_write(tmp_path / 'file') as slow:
        slow.write(b'slow')
        with atomic_write(tmp_path / 'file') as quick:
            quick.write(b'quick')
        remove_leftovers(tmp_path)
    assert (tmp_path / 'file').read_bytes() == b'slow' and os.listdir(tmp_path) == ['file']


@pytest.mark.parametrize('kind', ['file', 'folder'])
def test_what_another_takes_for_a_leftover_before_it_is_locked(tmp_path, monkeypatch, kind):
    name = 'mkstemp' if kind == 'file' else 'mkdtemp'
    make, removers = getattr(tempfile, name), []

    def made(*arguments):
        found = make(*arguments)
        if not removers:
            path = found[1] if kind == 'file' else found
            handle = os.open(path, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

            def remove():
                (os.unlink if kind == 'file' else os.rmdir)(path)
                os.close(handle)

            removers.append(threading.Timer(0.1, remove))
            removers[0].start()
        return found

    monkeypatch.setattr(tempfile, name, made)
    if kind == 'file':
        with atomic_write(tmp_path / 'file') as file:
            file.write(b'new')
            removers[0].join()
        assert (tmp_path / 'file').read_bytes() == b'new'
    else:
        with temporary_folder(tmp_path, 'images') as folder:
            removers[0].join()
            (folder / 'train.npy').touch()


@pytest.mark.parametrize('kind', ['pipe', 'device', 'link to a pipe'])
def test_neither_pipes_nor_devices_are_opened(tmp_path, kind):
    path = pathlib.Path('/dev/zero')
    if kind != 'device':
        path = tmp_path / 'pipe'
        os.mkfifo(path)
    if kind == 'link to a pipe':
        (tmp_path / 'link').symlink_to(path)
        path = tmp_path / 'link'
    with pytest.raises(OSError, match='not a file') as error:
        open_bytes(path)
    assert error.value.filename == str(path)


def test_files_are_opened(tmp_path):
    (tmp_path / 'file').write_text('text')
    with open_text(tmp_path / 'file') as file:
        assert file.read() == 'text'
    with pytest.raises(FileNotFoundError):
        open_bytes(tmp_path / 'none')
    with pytest.raises(IsADirectoryError):
        open_bytes(tmp_path)


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / 'file') as file:
            file.write(b'x')
    finally:
        os.umask(old)
    assert (tmp_path / 'file').stat().st_mode & 0o777 == 0o640


def write_json(file):
    file.write(b'x' * 100_000)


def write_npz(file):
    np.savez(file, a=np.zeros(30_000), b=np.zeros(30_000))


def write_picture(file):
    Image.effect_noise((300, 300), 100).save(file, 'PNG')


def write_figure(file):
    Figure(figsize=(50, 50)).savefig(file, format='png', dpi=100)


@pytest.fixture
def small_disk():
    """Files of at most 8 kB, as ``ulimit -f`` sets it; Python ignores the signal for it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize('write', [write_json, write_npz, write_picture, write_figure])
def test_a_failed_write_names_the_file(tmp_path, small_disk, write):
    path = tmp_path / 'file'
    path.write_bytes(b'old')
    with pytest.raises(OSError) as error, atomic_write(path) as file:
        write(file)
    assert error.value.filename == str(path)
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['file']


@pytest.mark.parametrize('relative', [False, True])
def test_a_folder_that_takes_no_files(tmp_path, monkeypatch, relative):
    def refuse(*given):
        raise PermissionError(13, 'Permission denied', str(tmp_path / '.file.abc.tmp'))

    monkeypatch.chdir(tmp_path)
    path = pathlib.Path('file') if relative else tmp_path / 'file'
    monkeypatch.setattr('tempfile.mkstemp', refuse)
    with pytest.raises(PermissionError) as error, atomic_write(path):
        pass
    assert error.value.filename == str(path)


def test_a_folder_where_a_file_should_be(tmp_path):
    (tmp_path / 'file').mkdir()
    with pytest.raises(OSError) as error, atomic_write(tmp_path / 'file') as file:
        file.write(b'x')
    assert error.value.filename == str(tmp_path / 'file')


def test_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as error, naming(tmp_path / 'a'):
        (tmp_path / 'b').read_bytes()
    assert error.value.filename == str(tmp_path / 'b')


def test_text_is_utf8_whatever_it_holds(tmp_path):
    with atomic_write(tmp_path / 'file', 'w') as file:
        file.write('猫\udcff')
    assert (tmp_path / 'file').read_bytes() == '猫?'.encode()
