"""Average numbers of the processes of one machine in memory that they share."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from mpi4py import MPI

from chainer_cifar.arrays import Array

# Numbers that are added up at once. They fit into caches; but each chunk makes all wait for each
# other twice, which takes milliseconds on a machine that has other work.
CHUNK = 1 << 20
_ITEMSIZE = np.dtype(np.float32).itemsize
_PLACE = '/dev/shm'  # where Open MPI has such memory on Linux
_SPARE = 4 << 20  # bytes of it that MPI may need for itself


class SharedMemory:
    """Memory of processes that all are on one machine.

    MPI's own ``Allreduce`` copies long messages from process to process, through main memory. Here
    the numbers are added up chunk by chunk, while they are in the caches.

    Args:
        mpi_comm: MPI's communicator of the processes, two and more.
        barrier: Waits for them all.

    Raises:
        mpi4py.MPI.Exception: The machine does not give that memory.
    """

    def __init__(self, mpi_comm: Any, barrier: Callable[[], None]) -> None:
        self._window = MPI.Win.Allocate_shared(_bytes(), _ITEMSIZE, comm=mpi_comm)
        self._window.Lock_all()  # for ever: `_meet` keeps order
        self._barrier = barrier
        self._rank, self._size = mpi_comm.rank, mpi_comm.size
        self._parts = [self._memory(rank)[0] for rank in range(self._size)]
        self._mean = self._memory(0)[1]

    def _memory(self, rank: int) -> Array:
        memory: Any = self._window.Shared_query(rank)[0]
        return np.frombuffer(memory, np.float32).reshape(2, CHUNK)

    def mean_in_place(self, vectors: Iterable[Array]) -> None:
        """Set float32 vectors to their means over the processes; the same bits in all of them."""
        for chunk in _chunks(vectors):
            for place, numbers in chunk:
                np.copyto(self._parts[self._rank][place], numbers)
            self._meet()
            self._add_up(chunk[-1][0].stop)
            self._meet()
            for place, numbers in chunk:
                np.copyto(numbers, self._mean[place])

    def _add_up(self, size: int) -> None:
        """Compute this process' share of the means."""
        mine = slice(size * self._rank // self._size, size * (self._rank + 1) // self._size)
        mean = self._mean[mine]
        np.add(self._parts[0][mine], self._parts[1][mine], out=mean)
        for part in self._parts[2:]:
            mean += part[mine]
        mean *= np.float32(1 / self._size)

    def _meet(self) -> None:
        self._window.Sync()
        self._barrier()
        self._window.Sync()


def connect(mpi_comm: Any, barrier: Callable[[], None]) -> SharedMemory | None:
    """Return memory that all processes share; None if they are on several machines, or lack it.

    Args:
        mpi_comm: MPI's communicator of the processes.
        barrier: Waits for them all.
    """
    on_this_machine = mpi_comm.Split_type(MPI.COMM_TYPE_SHARED)
    together = on_this_machine.size == mpi_comm.size
    on_this_machine.Free()
    if not together or mpi_comm.size == 1:
        return None
    # Open MPI finds out in one process, while the others wait for it for ever.
    if not mpi_comm.allreduce(_has_room(mpi_comm.size), MPI.MIN):
        return None
    try:
        found = SharedMemory(mpi_comm, barrier)
    except MPI.Exception:
        found = None
    return found if mpi_comm.allreduce(found is not None, MPI.MIN) else None


def _has_room(processes: int) -> bool:
    """Say whether there is room for the memory of all: in a container there may be 64 MB."""
    try:
        found = os.statvfs(_PLACE)
    except (OSError, AttributeError):
        return True  # MPI has it elsewhere
    return found.f_bavail * found.f_frsize >= processes * _bytes() + _SPARE


def _bytes() -> int:
    """Return how much of the memory each process has: its numbers, and its share of the means."""
    return 2 * CHUNK * _ITEMSIZE


def _chunks(vectors: Iterable[Array]) -> Iterator[list[tuple[slice, Array]]]:
    """Cut vectors into pieces; yield as many as fill a chunk, each with its place in it."""
    chunk: list[tuple[slice, Array]] = []
    used = 0
    for vector in vectors:
        begin = 0
        while begin < vector.size:
            piece = vector[begin : begin + CHUNK - used]
            chunk.append((slice(used, used + piece.size), piece))
            begin, used = begin + piece.size, used + piece.size
            if used == CHUNK:
                yield chunk
                chunk, used = [], 0
    if chunk:
        yield chunk
