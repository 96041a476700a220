import random
import types

import chainer
import numpy as np

from chainer_cifar.randomness import INITIAL, fixed_state, seed_all

CPU = chainer.get_device('@numpy')


def draw(seed, iteration):
    seed_all(seed, iteration, CPU)
    return random.random(), np.random.rand()


def test_a_function_of_seed_and_iteration():
    pairs = [(seed, iteration) for seed in range(4) for iteration in (INITIAL, 0, 1, 2)]
    draws = [draw(*pair) for pair in pairs]
    assert draws == [draw(*pair) for pair in pairs]
    assert len(set(draws)) == len(draws)


def test_neighbours_are_unrelated():
    a = np.array([draw(1, i)[1] for i in range(2000)])
    assert abs(a.mean() - 0.5) < 0.033  # five standard deviations
    assert abs(np.corrcoef(a[:-1], a[1:])[0, 1]) < 0.12


def test_cupy_state_is_made_once_and_seeded_each_time():
    seeds, states = [], []

    class RandomState:
        def __init__(self, method):
            assert method == 'philox'

        def seed(self, seed):
            seeds.append(seed)

    curand = types.SimpleNamespace(CURAND_RNG_PSEUDO_PHILOX4_32_10='philox')
    cupy = types.SimpleNamespace(
        cuda=types.SimpleNamespace(curand=curand),
        random=types.SimpleNamespace(RandomState=RandomState, set_random_state=states.append),
    )
    # SimpleNamespace is not hashable; CuPy, a module, is.
    module = types.ModuleType('cupy')
    vars(module).update(vars(cupy))

    class Gpu(chainer.backend.GpuDevice):
        xp = module

        def __init__(self):
            self.device = types.SimpleNamespace(id=0)

    device = Gpu()
    for iteration in (0, 1, 0):
        seed_all(1, iteration, device)
    assert len(states) == 1
    assert seeds[0] == seeds[2] != seeds[1]


def test_a_fixed_state_is_a_function_of_the_seed_and_no_iterations():
    draws = [fixed_state(seed, purpose).rand() for seed in range(4) for purpose in (1, 2)]
    assert draws[0] == fixed_state(0, 1).rand() and len(set(draws)) == len(draws)
    assert not set(draws) & {draw(seed, i)[1] for seed in range(4) for i in range(INITIAL, 9)}
