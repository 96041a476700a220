"""Tests with several processes, which need MPI."""

import importlib.util
import subprocess
import sys

import pytest

import runs
from chainer_cifar.errors import UserError
from chainer_cifar.parallel import launch


def missing():
    """Why they cannot run here; empty if they can."""
    try:
        launch.find_mpirun()
    except UserError:
        return "no mpirun: pip install '.[mpi]'"
    return '' if importlib.util.find_spec('mpi4py') else "no mpi4py: pip install '.[mpi]'"


needs_mpi = pytest.mark.skipif(bool(missing()), reason=missing())


def environment(**more):
    # Who waits for another process gives its core away, as other tests run meanwhile.
    waiting = {'OMPI_MCA_mpi_yield_when_idle': '1'}
    return {**runs.environment(), 'OMP_NUM_THREADS': '1', **waiting, **more}


def run(count, program):
    """Run a Python program in so many processes; what came of it."""
    mpirun = launch._mpirun_command(launch.find_mpirun(), count)
    return subprocess.run(
        [*mpirun, sys.executable, '-c', program],
        env=environment(OMPI_MCA_osc='^ucx'),
        capture_output=True,
        text=True,
        timeout=120,
    )
