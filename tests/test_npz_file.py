"""npz files of strangers: what is refused that NumPy would read."""

import errno
import io
import zipfile

import numpy as np
import numpy.lib.format as npy
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


def test_refuses_an_array_that_says_it_is_larger_than_memory(path):
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {'descr': '<f4', 'fortran_order': False, 'shape': (2**45,)})
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('a.npy', header.getvalue() + bytes(100))
    with pytest.raises(npz_file.Damaged, match='unpacks to more than'):
        npz_file.read(path)


def test_refuses_members_that_overlap(path):
    np.savez(path, **{name * 4: np.zeros(300_000) for name in 'ab'})
    # Both names now stand for the bytes of one, in a file of half of the size.
    with zipfile.ZipFile(path) as file:
        (first, second), data = file.infolist(), path.read_bytes()
    assert first.header_offset == 0
    start = data.index(b'PK\1\2')
    directory = bytearray(data[start:])
    place = directory.index(b'PK\1\2', 1)
    directory[place + 42 : place + 46] = bytes(4)
    path.write_bytes(data[: second.header_offset] + directory)
    with pytest.raises(npz_file.Damaged):
        npz_file.read(path)


def test_what_cannot_be_read_now_is_not_damaged(path, monkeypatch):
    np.savez(path, a=np.zeros(3))
    for error in (PermissionError(errno.EACCES, 'Permission denied'), MemoryError()):
        with monkeypatch.context() as patch:
            patch.setattr(npz_file.np, 'load', failing(error))
            with pytest.raises(type(error)) as found:
                npz_file.read(path)
    assert isinstance(found.value, MemoryError)
    with pytest.raises(FileNotFoundError):
        npz_file.read(path.with_name('b.npz'))


def failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail
