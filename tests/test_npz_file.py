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


@pytest.mark.parametrize('way', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refuses_what_numpy_does_not_pack(path, way):
    """Of these zipfile unpacks a whole block, even if a member says it is small."""
    with zipfile.ZipFile(path, 'w', way) as file:
        for name in 'ab':
            array = io.BytesIO()
            np.save(array, np.ones(3))
            file.writestr(f'{name}.npy', array.getvalue())
    with pytest.raises(npz_file.Damaged, match='in another way than NumPy'):
        npz_file.read(path, lambda names: ['b'])


@pytest.mark.parametrize(
    ('version', 'told'),
    [((1, 0), 'unpacks to more than'), ((2, 0), 'unpacks to more than'), ((3, 0), 'is odd')],
)
def test_refuses_an_array_that_says_it_is_larger_than_memory(path, version, told):
    header = io.BytesIO()
    words = {'descr': '<f4', 'fortran_order': False, 'shape': (2**45,)}
    npy.write_array_header_2_0(header, words) if version[0] > 1 else npy.write_array_header_1_0(
        header, words
    )
    data = header.getvalue()
    with zipfile.ZipFile(path, 'w') as file:
        file.writestr('a.npy', data[:6] + bytes(version) + data[8:] + bytes(100))
    with pytest.raises(npz_file.Damaged, match=told):
        npz_file.read(path)


def test_refuses_what_unpacks_to_too_much_together(path, monkeypatch):
    monkeypatch.setattr(npz_file, 'LARGEST', 10_000)
    np.savez_compressed(path, a=np.zeros(1000), b=np.zeros(1000))
    for name in 'ab':
        assert len(npz_file.read(path, lambda names, name=name: [name])[name]) == 1000
    with pytest.raises(npz_file.Damaged, match='unpacks to more than'):
        npz_file.read(path)


def test_refuses_members_that_overlap(path, monkeypatch):
    """One lies in another with its own header, as in a bomb: each for itself is sound."""
    monkeypatch.setattr(npz_file, 'LARGEST', 10_000)
    np.savez(path, b=np.ones(30_000))
    data = path.read_bytes()
    start = data.index(b'PK\1\2')
    inner, entry = data[:start], bytearray(data[start : data.index(b'PK\5\6')])
    np.savez(path, a=np.frombuffer(inner, np.uint8))
    data = path.read_bytes()
    entry[42:46] = data.index(inner).to_bytes(4, 'little')  # where its header is
    end = data.index(b'PK\5\6', data.index(inner) + len(inner))
    size = int.from_bytes(data[end + 12 : end + 16], 'little') + len(entry)
    told = data[end : end + 8] + bytes((2, 0, 2, 0)) + size.to_bytes(4, 'little')
    path.write_bytes(data[:end] + entry + told + data[end + 16 :])
    with zipfile.ZipFile(path) as file:
        assert file.namelist() == ['a.npy', 'b.npy']
    found = npz_file.read(path, lambda names: ['b'])['b']
    np.testing.assert_array_equal(found, np.ones(30_000))
    # A newer Python finds it, too.
    with pytest.raises(npz_file.Damaged, match=r'unpacks to more than|Overlapped'):
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
