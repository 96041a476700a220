"""Train as one of several processes, and end together."""

import contextlib
import os
import threading
from collections.abc import Iterator

from chainer_cifar import extras, files, randomness
from chainer_cifar.errors import UserError, first_line
from chainer_cifar.parallel import world
from chainer_cifar.parallel.environment import on_several_machines
from chainer_cifar.parallel.link import Link
from chainer_cifar.parallel.world import Several
from chainer_cifar.streams import printable


@contextlib.contextmanager
def together(started: int) -> Iterator[None]:
    """Connect the processes; if one cannot go on, let none wait for it.

    An error that all processes have, such as a missing file, is told by the first one; an error of
    a single one is told by it, and ends all.
    """
    here = connect(started)
    try:
        yield
    except Exception as error:
        meant = here.meet(error)
        if meant is error:
            raise
        raise meant from None
    except KeyboardInterrupt as error:
        here.meet(error)
        raise
    except SystemExit as error:  # it would end in MPI's last barrier, and the others wait elsewhere
        crash = RuntimeError(f'sys.exit({error.code!r}) while training')
        here.meet(crash)
        raise crash from error


def connect(started: int) -> Several:
    """Connect the processes that were started together, and make `world.current` know it.

    Args:
        started: How many there should be; see `environment.started_processes`.

    Raises:
        UserError: There is no MPI, or it does not find the others.
    """
    link = Link.from_environment()
    if link:
        link.end_with_it()
    try:
        return _connect(started, link)
    except UserError as error:
        if link:
            # Most likely all have it. Who started them tells it once; what a process writes before
            # it takes over the streams, nobody sees.
            link.send(f'end 2 {printable(error)}')
        raise
    except Exception:
        if link:
            link.take_over_streams()  # for the traceback
            link.send('end 1')
        raise


def _connect(started: int, link: Link | None) -> Several:
    if on_several_machines():
        # Otherwise Open MPI may look at its sockets only each ten thousandth time that it looks for
        # messages: in some runs a millisecond from one machine to another became five.
        os.environ.setdefault('OMPI_MCA_mpi_event_tick_rate', '1')
    # Before PyPI's Open MPI takes another part for memory that is shared, it complains of this one.
    os.environ.setdefault('OMPI_MCA_osc', '^ucx')
    try:
        from mpi4py import MPI

        from chainer_cifar.parallel import dropout
        from chainer_cifar.parallel.communicator import FusedCommunicator
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f'several processes need MPI ({first_line(error)}); {extras.install("mpi")}, '
            f'or mpi4py for the MPI of this machine (see docs/parallel.md)'
        ) from None
    comm = MPI.COMM_WORLD
    if comm.size != started:
        raise UserError(
            f'{started} processes were started, but MPI knows of {comm.size}: this MPI (of '
            f"mpi4py) does not understand who started them; try srun --mpi=pmix, or that MPI's "
            f'own mpirun'
        )
    communicator, farewell = FusedCommunicator(comm), comm.Dup()
    if link:
        link.take_over_streams()
    several = Several(communicator, farewell, link, errors=os.dup(2))
    if comm.rank:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        files.write_nothing()
    if link:
        link.send(f'begin {comm.rank} {os.getpid()}')
    threading.Thread(target=several.watch, daemon=True).start()
    randomness.set_part(several.rank, several.size)
    world.current = several
    several.share_memory()
    dropout.share_masks()
    return several
