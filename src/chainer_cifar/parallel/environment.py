"""Recognise a process that mpirun or srun has started, by its environment."""

import os
from collections.abc import Mapping

from chainer_cifar.errors import UserError


def started_processes(variables: Mapping[str, str] = os.environ) -> int:
    """Return how many processes were started together with this one; 1 if it is alone.

    Open MPI's mpirun, MPICH's and Intel's (hydra), and srun each tell it in variables of their own.
    A batch script's own process has some of srun's, but not its number of a step.

    Raises:
        UserError: The variable holds no number.
    """
    names = ['OMPI_COMM_WORLD_SIZE', 'PMI_SIZE']
    if 'SLURM_STEP_ID' in variables and 'SLURM_PROCID' in variables:
        names += ['SLURM_STEP_NUM_TASKS']
    for name in names:
        if name in variables:
            if not variables[name].isdecimal():
                raise UserError(f'{name}={variables[name]}: must be a number of processes')
            return int(variables[name])
    return 1


def on_several_machines(variables: Mapping[str, str] = os.environ) -> bool:
    """Say whether Open MPI's mpirun has started processes on other machines, too."""
    names = 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_SIZE'
    return len({variables.get(name) for name in names}) > 1


def sees_one_gpu(variables: Mapping[str, str] = os.environ) -> bool:
    """Say whether this process was given a single GPU, as Slurm does; each calls its own ``0``."""
    given = variables.get('CUDA_VISIBLE_DEVICES', '')
    return bool(given) and ',' not in given


def cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
