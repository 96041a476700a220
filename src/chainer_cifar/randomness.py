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

from chainer_cifar.arrays import ArrayModule

# Iterations count from 0. This one seeds what happens before them: initial weights, first order.
INITIAL = -1

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
        _cupy_state(device.xp, device.device.id).seed(int(state[0]))


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
