import os
import pathlib
import subprocess
import sys

import pytest

from chainer_cifar.files import atomic_write, remove_leftovers

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


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / 'file') as file:
            file.write(b'x')
    finally:
        os.umask(old)
    assert (tmp_path / 'file').stat().st_mode & 0o777 == 0o640
