"""The mean of arrays over processes that MPI connects."""

import pytest

import several

pytestmark = several.needs_mpi

PROGRAM = """
import numpy as np
from chainer_cifar.parallel import session, shared_memory

SHAPES = [(7,), (3, 50), (), (2, 0), (40, 2, 3, 3), (5, 4), (100,), (60,)]


def draw(seed):
    rng = np.random.RandomState(seed)
    arrays = [np.asarray(rng.randn(*shape), np.float32) for shape in SHAPES]
    arrays[5] = np.asfortranarray(arrays[5])
    return arrays


shared_memory.CHUNK = 100
if not SHARED:
    shared_memory.connect = lambda comm, barrier: None
here = session.connect(COUNT)
assert (here.communicator._shared is not None) == SHARED
for step in range(3):
    seeds = [10 * step + rank for rank in range(COUNT)]
    arrays = draw(seeds[here.rank])
    here.communicator.mean_in_place(iter(arrays))
    for array, *parts in zip(arrays, *map(draw, seeds), strict=True):
        expected = np.mean(parts, axis=0, dtype=np.float64)
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-6)
    in_all = here.communicator.mpi_comm.allgather([array.tobytes() for array in arrays])
    assert all(found == in_all[0] for found in in_all)
here.communicator.mean_in_place([])
print('held', flush=True)
"""


@pytest.mark.parametrize('shared', [True, False])
def test_the_mean_is_that_of_all_and_the_same_bits_in_all(shared):
    done = several.run(3, f'COUNT, SHARED = 3, {shared}\n{PROGRAM}')
    assert done.stdout == 'held\n', done.stderr
    assert done.stderr == ''


ON_GPUS = """
import sys, types
import chainer_compat
import chainer

sources = {}
chainer.cuda.raw = lambda code, name: sources.update({name: code})


class Communicator:
    def __init__(self, mpi_comm):
        self.mpi_comm = mpi_comm

    def set_config(self, name, value):
        pass

    def multi_node_mean_grad(self, model, zero_fill):
        order.append('NCCL')


order = []
mpi_comm = types.SimpleNamespace(Barrier=lambda: order.append('MPI'))

name = 'chainermn.communicators.pure_nccl_communicator'
sys.modules[name] = types.SimpleNamespace(PureNcclCommunicator=Communicator)
from chainer_cifar.parallel import communicator

for _ in range(2):
    on_gpus = communicator.on_gpus(mpi_comm)
    communicator._memory_utility._cupy_batched_pack_params()
    communicator._memory_utility._cupy_batched_unpack_params()
    assert len(sources) == 2
    for source in sources.values():
        assert source.count('#include <cuda_fp16.h>') == 1
        assert source.index('cuda_fp16') < source.index('half')
on_gpus.multi_node_mean_grad(chainer.Chain())
assert order == ['MPI', 'NCCL']
print('held', flush=True)
"""


def test_kernels_on_gpus_know_half_and_nccl_is_asked_when_all_are_there():
    done = several.run(1, ON_GPUS)
    assert done.stdout == 'held\n', done.stderr
