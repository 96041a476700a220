"""For the tests that go the whole road: a small CIFAR-10 in true form, and processes."""

import os
import signal
import subprocess
import sys

import hypothesis
import pytest

# Let a GPU compute with all bits of float32, as a CPU does. CUDA's libraries, which the next import
# loads, read this.
os.environ.setdefault('NVIDIA_TF32_OVERRIDE', '0')
# Several tests run at a time: threads that wait in a loop take the cores from those that compute.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import chainer_compat  # noqa: F401  (before any test imports Chainer: it makes that possible)
import chainer_onednn
from chainer_onednn import kernels
from cifar_archive import write_cifar10

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile('any machine', deadline=None)
hypothesis.settings.load_profile('any machine')

if not kernels.available():  # known; the processes that tests start need not say it
    os.environ[kernels.VARIABLE] = '0'


@pytest.fixture(autouse=True)
def _engine_as_it_was():
    """A command enables oneDNN for its process, where later tests compare it with Chainer."""
    was_enabled = chainer_onednn.is_enabled()
    yield
    if not was_enabled:
        chainer_onednn.disable()


@pytest.fixture
def without_curves(monkeypatch):
    """Trainings in this process leave out their curves, which take more than half of the time."""
    monkeypatch.setattr('chainer_cifar.training.log.Curves.draw', lambda self: None)


@pytest.fixture(scope='session')
def cifar10_folder(tmp_path_factory):
    """What to give as --dir: holds cifar-10-batches-py, 6 x 40 pictures. Not to be changed."""
    folder = tmp_path_factory.mktemp('cifar10')
    write_cifar10(folder)
    return folder


@pytest.fixture
def spawn():
    """Starts Python scripts; what still runs at the end of the test is ended."""
    processes = []

    def start(script, *arguments, **options):
        process = subprocess.Popen(
            [sys.executable, script, *map(str, arguments)],
            **{
                'stdout': subprocess.PIPE,
                'stderr': subprocess.PIPE,
                'text': True,
                # A shell's background job, as pytest may be one, ignores SIGINT and hands it down.
                'preexec_fn': lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                **options,
            },
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        with process:  # closes its pipes, which the test may have done, and waits
            process.kill()
