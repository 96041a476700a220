"""Make every random number follow from (seed, iteration), so that resuming equals not stopping.

Chainer draws from NumPy's global state (order of the images, dropout, initial weights) or from
CuPy's; augmentation and stochastic depth draw from NumPy's too. Neither Chainer's snapshots nor
CuPy can save such a state. Instead `seed_all` sets all of them anew before each iteration, which
leaves nothing to save.
"""

import functools
import random
from typing import Any

import chainer
import numpy as np

from chainer_cifar.arrays import Array, ArrayModule

# Iterations count from 0. This one seeds what happens before them: initial weights, first order.
INITIAL = -1

# This process' place among those that share a mini-batch, and their number.
_rank, _size = 0, 1

# What is drawn once for a whole run, beside that; a number each, from 1.
COINS = 1  # of altflip


def seed_all(seed: int, iteration: int, device: chainer.backend.Device) -> None:
    """Set the states of `random`, NumPy and, on a GPU, CuPy.

    Args:
        seed: The run's seed, 0 or more.
        iteration: Mini-batches before this moment, or `INITIAL`.
        device: The net's device.
    """
    # SeedSequence mixes the two numbers, so that neighbours give unrelated streams.
    state = np.random.SeedSequence((seed, iteration - INITIAL)).generate_state(4)
    random.seed(int(state[0]))
    np.random.seed(state)
    if isinstance(device, chainer.backend.GpuDevice):
        _cupy_state(device.xp, device.device.id).seed((int(state[0]) + _rank) % 2**32)


def set_part(rank: int, size: int) -> None:
    """Say that this process computes part `rank` of `size` of each mini-batch.

    All processes have the same random state on the CPU. What is drawn for each image is drawn for
    the whole mini-batch in all, so that an image gets the same whatever the number of processes.
    """
    global _rank, _size
    _rank, _size = rank, size


def uniform(xp: ArrayModule, shape: tuple[int, ...]) -> Array:
    """Draw numbers in [0, 1) for this process' images, float64 of this shape ``(N, ...)``."""
    n = shape[0]
    whole: Array = xp.random.uniform(size=(n * _size, *shape[1:]))
    return whole[_rank * n : (_rank + 1) * n]


def fixed_state(seed: int, purpose: int) -> np.random.RandomState:
    """A NumPy random state that is the same in every iteration of a run.

    Args:
        seed: The run's seed.
        purpose: One of the numbers above, such as `COINS`.
    """
    # 0 where `seed_all` has the iteration: the third number sets it apart.
    return np.random.RandomState(np.random.SeedSequence((seed, 0, purpose)).generate_state(4))


@functools.cache
def _cupy_state(cupy: ArrayModule, device_id: int) -> Any:
    # Philox takes a new seed at no cost; cuRAND's default generator needs milliseconds.
    method = cupy.cuda.curand.CURAND_RNG_PSEUDO_PHILOX4_32_10
    state = cupy.random.RandomState(method=method)
    cupy.random.set_random_state(state)
    return state
