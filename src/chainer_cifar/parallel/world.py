"""Know the processes that train together, and this one's place among them.

`current` is what everybody asks. Alone, it answers without any MPI library.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from chainer_cifar import extras
from chainer_cifar.arrays import Array
from chainer_cifar.errors import Diverged, Interrupted, UserError, file_and_reason
from chainer_cifar.parallel.link import Link
from chainer_cifar.streams import tell

T = TypeVar('T')

RENDEZVOUS = 3.0  # seconds in which processes that fail together meet
DRAWING = 120.0  # the same where the first one draws its curves before
SLOW = 30.0  # seconds of waiting for the others after which the user is told
STOPPED = 5.0  # seconds in which a thread that would look each second did not come to it
LOST = 600.0  # after which it is given up


class World:
    """A process that trains alone.

    Attributes:
        rank: The number of this process, from 0. Only the first one writes and prints.
        size: How many there are.
        local_rank: The number of this process among those on the same machine.
        local_size: How many there are on this machine.
        communicator: ChainerMN's communicator; None where a process is alone.
        gpus: The GPUs of the processes on a machine, in turn; none on CPUs, or of a process alone.
    """

    rank, size, local_rank, local_size = 0, 1, 0, 1
    communicator: Any = None
    gpus: tuple[int, ...] = ()

    @property
    def first(self) -> bool:
        """Is this the process that writes and prints?"""
        return self.rank == 0

    def use_gpus(self, gpus: tuple[int, ...]) -> None:
        """Compute on GPUs, each process on its own.

        Raises:
            UserError: There is no NCCL.
        """

    def part(self, batch_size: int) -> slice:
        """Return which images of each mini-batch this process computes; all have equal parts."""
        share = batch_size // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def from_first(self, function: Callable[[], T]) -> T:
        """Call `function` in the first process only; return its value in all."""
        return function()

    def barrier(self) -> None:
        """Wait until all processes are here."""

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """Return the largest of each number over the processes."""
        return numbers

    def mean(self, numbers: Sequence[float]) -> Sequence[float]:
        """Return the mean of each number over the processes; the same bits in all."""
        return numbers

    def mine(self, items: Sequence[T]) -> Sequence[T]:
        """Return which of some things to do, such as batches to evaluate, fall to this process."""
        return items[self.rank :: self.size]

    def gather(self, rows: Array) -> Array:
        """Return a row for each thing, in their order, from those of `mine`; float64 ``(N, K)``."""
        return rows

    def require_same(self, text: str, what: str) -> None:
        """Raise UserError, in all processes, unless `text` is the same in all of them."""

    def meet(self, error: BaseException) -> BaseException:
        """Return what to raise for an `error` in this process; call it only then."""
        return error

    def leave(self, status: int) -> int:
        """End the part of this process with an exit status, and return it."""
        return status


current = World()


class Several(World):
    """One of several processes that MPI connects.

    Args:
        communicator: ChainerMN's communicator.
        mpi_comm: MPI's communicator of the same processes, which nobody else uses.
        link: The line to the process that started them; None if mpirun or srun did.
        errors: A file descriptor for error messages, where standard error is the null device.
    """

    def __init__(self, communicator: Any, mpi_comm: Any, link: Link | None, errors: int) -> None:
        self.communicator = communicator
        self.rank, self.size = communicator.rank, communicator.size
        self.local_rank, self.local_size = communicator.intra_rank, communicator.intra_size
        self._comm = Watched(communicator.mpi_comm)
        communicator.mpi_comm = self._comm
        self._farewell = mpi_comm
        self._link = link
        self._errors = errors
        self._alone = False  # the others do not know that this process ends
        sys.excepthook = self._crash

    @property
    def _name(self) -> str:
        return f'process {self.rank} (on {os.uname().nodename})'

    def share_memory(self) -> None:
        """Let processes of one machine average in memory that they share."""
        comm = self._comm.comm
        self._comm.waiting_for(lambda: self.communicator.share_memory(comm))

    def use_gpus(self, gpus: tuple[int, ...]) -> None:
        from chainer_cifar.parallel import communicator

        try:
            self.communicator = communicator.on_gpus(self._comm)
        except RuntimeError as error:  # ChainerMN names what is missing
            raise UserError(
                f'-g: several GPUs need NCCL ({error}); {extras.install("gpu")}'
            ) from None
        self.gpus = gpus

    def from_first(self, function: Callable[[], T]) -> T:
        return self.communicator.bcast_obj(function() if self.first else None)

    def barrier(self) -> None:
        self._comm.Barrier()

    def largest(self, *numbers: int) -> tuple[int, ...]:
        from mpi4py import MPI

        found = np.array(numbers, np.int64)
        self._comm.Allreduce(MPI.IN_PLACE, found, MPI.MAX)
        return tuple(found.tolist())

    def mean(self, numbers: Sequence[float]) -> Sequence[float]:
        from mpi4py import MPI

        found = np.array(numbers, np.float64)
        self._comm.Allreduce(MPI.IN_PLACE, found)
        return [float(number) for number in found / self.size]

    def gather(self, rows: Array) -> Array:
        parts = self._comm.allgather(rows)
        whole = np.empty((sum(map(len, parts)), rows.shape[1]))
        for rank, part in enumerate(parts):
            whole[rank :: self.size] = part
        return whole

    def require_same(self, text: str, what: str) -> None:
        host = os.uname().nodename
        found: list[tuple[str, str]] = self._comm.allgather((text, host))
        for rank, (other, name) in enumerate(found):
            if other != found[0][0]:
                raise UserError(
                    f'{what} of process {rank} (on {name}) differs from that of process 0 '
                    f'(on {found[0][1]}); it must be the same for all'
                )

    def meet(self, error: BaseException) -> BaseException:
        """Let the first process tell of an error that all have; otherwise do it here."""
        # Which all have, after the same iteration; any other may be of this process alone.
        ends_training = isinstance(error, (Diverged, Interrupted))
        patience = DRAWING if ends_training else RENDEZVOUS
        request, end = self._farewell.Ibarrier(), time.monotonic() + patience
        while not request.Test():
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        else:
            return error
        self._alone = True
        if self.first:
            return error
        self._speak()
        if isinstance(error, OSError):
            error = UserError(file_and_reason(error))
        if isinstance(error, UserError):
            return UserError(f'{self._name}: {error}')
        return error

    def leave(self, status: int) -> int:
        if self._link:
            self._link.send(f'end {status}')
        if self._alone:
            self._abort(status)
        return status

    def _crash(self, *error: Any) -> None:
        """Do what an uncaught exception demands: say it, and let nobody wait for this process."""
        if self._alone:
            self._speak()
            tell(f'{self._name} of {self.size}:')
        sys.__excepthook__(*error)  # which nobody sees of a process that does not speak
        if self._link:
            self._link.send('end 1')
        self._abort(1)

    def _speak(self) -> None:
        if not self.first:
            os.dup2(self._errors, 2)

    def _abort(self, status: int) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if not self._link:
            from mpi4py import MPI

            MPI.COMM_WORLD.Abort(status)
        os._exit(status)

    def watch(self) -> None:
        """End this process when it is of no use any more; this is a thread's work."""
        parent = os.getppid()
        told = False
        while True:
            before = time.monotonic()
            time.sleep(1)
            if time.monotonic() - before > STOPPED:
                self._comm.wait_anew()  # it was this process that did not run
            if not self._link and os.getppid() != parent:
                self._give_up('mpirun or srun has ended')
            waiting = self._comm.seconds_waiting()
            if waiting > LOST:
                if self._link:
                    self._link.send(f'lost {LOST:.0f}')  # who started us knows which is lost
                    self._abort(2)
                self._give_up(f'another process did not answer for {LOST:.0f} seconds')
            if waiting > SLOW and not told:
                self._warn()
            elif told and waiting <= SLOW and self._link:
                self._link.send('going')
            told = waiting > SLOW

    def _warn(self) -> None:
        if self._link:
            self._link.send(f'waiting {SLOW:.0f}')  # and it tells once if others wait, too
        elif self.first:
            tell(
                f'warning: waiting for another process for {SLOW:.0f} seconds; is one of them '
                f'stopped?'
            )

    def _give_up(self, reason: str) -> NoReturn:
        self._speak()
        program = os.path.basename(sys.argv[0])
        tell(f'{program}: error: {self._name}: {reason}; continue with --resume')
        self._abort(2)


class Watched:
    """MPI's communicator, which knows for how long it has been waiting for the others.

    Attributes:
        comm: The communicator itself.
    """

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self._since: float | None = None

    def seconds_waiting(self) -> float:
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def wait_anew(self) -> None:
        """Count from now, if it is waiting."""
        if self._since is not None:
            self._since = time.monotonic()

    def waiting_for(self, function: Callable[[], T]) -> T:
        """Call a function in which this process waits for the others; return its value."""
        self._since = time.monotonic()
        try:
            return function()
        finally:
            self._since = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.comm, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            return self.waiting_for(lambda: found(*arguments, **options))

        self.__dict__[name] = call
        return call
