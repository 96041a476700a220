"""The process that the user started, beside processes that a test plays."""

import io
import socket
import subprocess
import sys

import pytest

from chainer_cifar.parallel.launch import _Family


@pytest.mark.parametrize(
    ('words', 'status', 'told'),
    [
        (b'end 3\n', 3, ''),
        (b'', 2, 'train.py: error: a process of 2 could not begin: no libmpi here\n'),
    ],
)
def test_a_process_that_ended_before_it_was_welcomed(tmp_path, words, status, told, capsys):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / 'link'))
        listener.listen(2)
        with socket.socket(socket.AF_UNIX) as gone:
            gone.connect(str(tmp_path / 'link'))
            gone.sendall(words)
        mpirun = subprocess.Popen([sys.executable, '-c', ''])
        family = _Family(2, mpirun, listener, io.BytesIO(b'no libmpi here'), 'train.py')
        assert family.look_after() == status
    assert capsys.readouterr().err == told
