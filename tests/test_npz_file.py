"""npz files of strangers: what is refused that NumPy would read."""

import numpy as np
import pytest

from chainer_cifar import npz_file


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'a.npz'


def test_reads_the_chosen_arrays(path):
    np.savez(path, a=np.arange(3), b=np.ones(2))
    assert npz_file.read(path, lambda names: [n for n in names if n == 'a'])['a'].tolist() == [
        0,
        1,
        2,
    ]


def test_refuses_what_unpacks_to_too_much(path, monkeypatch):
    monkeypatch.setattr(npz_file, 'LARGEST', 10_000)
    np.savez_compressed(path, a=np.zeros(2000), b=np.zeros(3))
    with pytest.raises(npz_file.Damaged, match='unpacks to more than'):
        npz_file.read(path)
    assert npz_file.read(path, lambda names: ['b'])['b'].tolist() == [0, 0, 0]
    np.savez(path, a=np.zeros(2000))  # it has all the bytes itself
    assert len(npz_file.read(path)['a']) == 2000
