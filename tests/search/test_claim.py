"""Who is at a trial: alive, dead, here or elsewhere."""

import os
import pathlib
import signal
import time

import pytest

from chainer_cifar.runs import RunFolder
from chainer_cifar.search import claim

SRC = pathlib.Path(claim.__file__).parents[2]

HOLD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from chainer_cifar.runs import RunFolder
from chainer_cifar.search.claim import claim
assert claim(RunFolder('a/trial_001'))
print('held', flush=True)
time.sleep(60)
"""


@pytest.fixture
def trial(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path('models/a').mkdir(parents=True)
    return RunFolder('a/trial_001')


def test_one_at_a_time(trial):
    held = claim.claim(trial)
    assert held and claim.claim(trial) is None
    held.release()
    again = claim.claim(trial)
    assert again
    again.release(ended=True)
    assert list(pathlib.Path('models/a').iterdir()) == []


def test_a_killed_process_gives_it_up_at_once(trial, spawn):
    pathlib.Path('hold.py').write_text(HOLD)
    process = spawn('hold.py', SRC)
    assert process.stdout.readline() == 'held\n', process.stderr.read()
    assert claim.claim(trial) is None
    process.send_signal(signal.SIGSTOP)  # asleep is not dead
    assert claim.claim(trial) is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    held = claim.claim(trial)
    assert held
    held.release()


def test_another_machine_is_dead_when_it_gave_no_sign_for_long(trial):
    """Where the lock of the system does not reach it."""
    beat = pathlib.Path('models/a/trial_001.beat')
    beat.write_text('elsewhere\n')
    assert claim.claim(trial) is None
    old = time.time() - claim.SILENCE - 5
    os.utime(beat, (old, old))
    held = claim.claim(trial)
    assert held and beat.read_text() != 'elsewhere\n'
    held.release()


def test_after_a_power_cut(trial):
    beat, claimed = (pathlib.Path(f'models/a/trial_001.{name}') for name in ('beat', 'claim'))
    for left in b'', b'elsew', b'\xff\xfe':
        beat.write_bytes(left)
        held = claim.claim(trial)
        assert held
        held.release()
    beat.touch()
    claimed.touch()
    claim.forget(trial)
    claim.forget(trial)
    assert list(pathlib.Path('models/a').iterdir()) == []


def test_signs_of_life(trial, monkeypatch):
    monkeypatch.setattr(claim, 'BEAT', 0.05)
    held = claim.claim(trial)
    beat = pathlib.Path('models/a/trial_001.beat')
    os.utime(beat, (0, 0))
    end = time.monotonic() + 20
    while beat.stat().st_mtime == 0 and time.monotonic() < end:
        time.sleep(0.01)
    assert beat.stat().st_mtime > 0
    held.release()
