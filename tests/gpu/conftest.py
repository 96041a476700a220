"""What the tests on a GPU share. Where there is none, each of them is skipped with the reason."""

import numpy as np
import pytest

from chainer_cifar import device as devices
from chainer_cifar.errors import UserError
from runs import write_data


@pytest.fixture(scope='session')
def gpu():
    """The first GPU, as train.py uses it."""
    try:
        return devices.get_device(0)
    except UserError as reason:
        pytest.skip(f'no GPU: {reason}')


@pytest.fixture
def numpy_draws(gpu, monkeypatch):
    """Takes CuPy's random numbers from NumPy's state, so that a GPU drops the same units."""

    def rand(*shape, dtype=float):
        return gpu.xp.asarray(np.random.rand(*shape), dtype)

    def uniform(low=0.0, high=1.0, size=None, dtype=float):
        return gpu.xp.asarray(np.random.uniform(low, high, size), dtype)

    monkeypatch.setattr(gpu.xp.random, 'rand', rand)
    monkeypatch.setattr(gpu.xp.random, 'uniform', uniform)


@pytest.fixture
def fresh(gpu, tmp_path):
    """A folder with data/ and no run."""
    write_data(tmp_path / 'data', n_train=200, n_test=40)
    return tmp_path
