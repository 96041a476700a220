"""A lock that ends with its process here, and that other machines respect."""

import multiprocessing
import pathlib
import signal
import time

from chainer_cifar.search import lock
from chainer_cifar.search.lock import Lock

SRC = pathlib.Path(lock.__file__).parents[2]

HOLD = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from chainer_cifar.search.lock import Lock
Lock(pathlib.Path(sys.argv[2])).acquire()
print('held', flush=True)
time.sleep(60)
"""


def count(path, times):
    for _ in range(times):
        with Lock(path):
            number = int((path / 'number').read_text())
            time.sleep(0.001)
            (path / 'number').write_text(str(number + 1))


def test_one_at_a_time(tmp_path):
    path = tmp_path / 'a'
    path.mkdir()
    (path / 'number').write_text('0')
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=count, args=(path, 20)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert (path / 'number').read_text() == '60'


def test_a_killed_process_holds_nothing(tmp_path, spawn):
    (tmp_path / 'hold.py').write_text(HOLD)
    process = spawn(tmp_path / 'hold.py', SRC, tmp_path / 'a')
    assert process.stdout.readline() == 'held\n'
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / 'a.held').exists()
    start = time.monotonic()
    with Lock(tmp_path / 'a'):
        assert time.monotonic() - start < 5
    assert not (tmp_path / 'a.held').exists()


def test_another_machine_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, 'GRACE', 0.5)
    (tmp_path / 'a.held').write_text('elsewhere')
    start = time.monotonic()
    with Lock(tmp_path / 'a'):
        assert time.monotonic() - start >= 0.5


def test_what_another_machine_took_is_left_to_it(tmp_path):
    with Lock(tmp_path / 'a'):
        (tmp_path / 'a.held').write_text('elsewhere\n')  # it lost patience
    assert (tmp_path / 'a.held').read_text() == 'elsewhere\n'


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / 'a.held').write_bytes(b'\xff\xfe')
    with Lock(tmp_path / 'a'):
        pass
