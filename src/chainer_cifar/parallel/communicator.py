"""Average arrays over the processes: ChainerMN's communicators, and one of ours for CPUs.

ChainerMN's communicator for CPUs (``naive``) sends each array by itself. A net has hundreds, most
of them small, and every message costs its latency.
"""

from collections.abc import Iterable
from typing import Any

import chainer
import numpy as np
from chainermn.communicators import _memory_utility
from chainermn.communicators.mpi_communicator_base import MpiCommunicatorBase
from mpi4py import MPI

from chainer_cifar.arrays import Array
from chainer_cifar.parallel import shared_memory


class FusedCommunicator(MpiCommunicatorBase):
    """Average all gradients of a net together, in host memory.

    Processes on one machine share memory for it; others send one message. With the gradients go the
    running statistics of batch normalization (`statistics`): so all processes hold the same net
    after every step, and the first one's snapshot is everybody's.
    """

    def __init__(self, mpi_comm: Any) -> None:
        super().__init__(mpi_comm)
        self._buffer = np.empty(0, np.float32)
        self._shared: shared_memory.SharedMemory | None = None

    def share_memory(self, mpi_comm: Any) -> None:
        """Average in memory that the processes of MPI's communicator share, if there is some."""
        # By name, since `world` replaces it by one that knows how long it waits.
        self._shared = shared_memory.connect(mpi_comm, lambda: self.mpi_comm.Barrier())

    def multi_node_mean_grad(self, model: chainer.Link, zero_fill: bool = False) -> None:
        """Set each gradient of `model`, float32, to its mean over the processes.

        Args:
            model: The net.
            zero_fill: Take zeros for a gradient that is None, as of a block that was skipped.
        """
        params = _memory_utility.extract_params_set_grad(model, zero_fill)
        for param in params:
            if param.grad is None:
                param.grad = np.zeros_like(param.array)
        self.mean_in_place([param.grad for param in params] + statistics(model))

    def mean_in_place(self, arrays: Iterable[Array]) -> None:
        """Set some float32 arrays to their means over the processes; the same bits in all."""
        arrays = list(arrays)
        if not arrays:  # of a net whose parameters all stand still
            return
        vectors = [np.ravel(array) for array in arrays]  # copies of what is not C-contiguous
        if self._shared:
            self._shared.mean_in_place(vectors)
        else:
            self._mean_by_message(vectors)
        for array, vector in zip(arrays, vectors, strict=True):
            if not array.flags.c_contiguous:
                array[...] = vector.reshape(array.shape)

    def _mean_by_message(self, vectors: list[Array]) -> None:
        size = sum(vector.size for vector in vectors)
        if self._buffer.size < size:
            self._buffer = np.empty(size, np.float32)
        whole = np.concatenate(vectors, out=self._buffer[:size])
        self.mpi_comm.Allreduce(MPI.IN_PLACE, whole)
        whole *= np.float32(1 / self.size)
        start = 0
        for vector in vectors:
            np.copyto(vector, whole[start : start + vector.size])
            start += vector.size


def statistics(model: chainer.Link) -> list[Array]:
    """Find the running means and variances in a model, arrays that are not trained."""
    found = []
    for link in model.links():
        for name in sorted(link._persistent):  # a set
            value = getattr(link, name)
            if isinstance(value, chainer.get_array_types()) and value.dtype.kind == 'f':
                found.append(value)
    return found


_raw = chainer.cuda.raw


def _raw_with_half(code: str, name: str, *args: Any, **kwargs: Any) -> Any:
    # ChainerMN's kernels took the type `half` from a header of CuPy, which lacks it since CuPy 14.
    return _raw(f'#include <cuda_fp16.h>\n{code}', name, *args, **kwargs)


def on_gpus(mpi_comm: Any) -> Any:
    """Make the communicator for processes on GPUs.

    Raises:
        RuntimeError: There is no NCCL.
    """
    from chainermn.communicators.pure_nccl_communicator import PureNcclCommunicator

    class NcclCommunicator(PureNcclCommunicator):
        """Average gradients by NCCL, and the running statistics in host memory, where MPI works."""

        def multi_node_mean_grad(self, model: chainer.Link, zero_fill: bool = False) -> None:
            # NCCL waits for the others on the GPU, where `world` would not know for how long.
            self.mpi_comm.Barrier()
            super().multi_node_mean_grad(model, zero_fill)
            _mean_on_host(self, statistics(model))

    communicator = NcclCommunicator(mpi_comm)
    chainer.cuda.raw = _raw_with_half
    communicator.set_config('batched_copy', True)  # as chainermn.create_communicator
    return communicator


def _mean_on_host(communicator: Any, arrays: list[Array]) -> None:
    if not arrays:
        return
    xp = chainer.backend.get_array_module(arrays[0])
    whole = chainer.cuda.to_cpu(xp.concatenate([array.ravel() for array in arrays]))
    communicator.mpi_comm.Allreduce(MPI.IN_PLACE, whole)
    parts = xp.asarray(whole / communicator.size)
    start = 0
    for array in arrays:
        array[...] = parts[start : start + array.size].reshape(array.shape)
        start += array.size
