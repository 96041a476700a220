"""Read the tensors of a PyTorch state dict without PyTorch, and without running anything in it.

The format is the one of ``torch.save`` before 1.6: five pickles (a magic number, the version, the
system, the state dict, the keys of the storages) and then each storage, as its number of elements
(int64) and their bytes. The pickles are interpreted by `chainer_cifar.data.pickles.Machine`, which
imports and calls nothing: here it knows an ordered dictionary, a tensor, and the storage types.
"""

import dataclasses
import io
import math

import numpy as np

from chainer_cifar.data.pickles import Machine, Refused, one_line

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

_STORAGES = {
    'torch.FloatStorage': np.dtype('<f4'),
    'torch.DoubleStorage': np.dtype('<f8'),
    'torch.HalfStorage': np.dtype('<f2'),
    'torch.LongStorage': np.dtype('<i8'),
    'torch.IntStorage': np.dtype('<i4'),
    'torch.ShortStorage': np.dtype('<i2'),
    'torch.CharStorage': np.dtype('<i1'),
    'torch.ByteStorage': np.dtype('<u1'),
}


def load(data, path):
    """The tensors in a file of ``torch.save(model.state_dict(), path)``.

    Args:
        data (bytes): The file's content.
        path: The file's name, for the error messages.

    Returns:
        dict: From str to read-only NumPy arrays, which share the memory of `data`.

    Raises:
        UserError: The file is damaged, of another format, or holds anything but tensors.
    """
    with one_line(path, 'PyTorch state dict'):
        return _load(io.BytesIO(data), data)


def _load(file, data):
    if Machine(file, {}).run() != MAGIC or Machine(file, {}).run() != PROTOCOL:
        raise ValueError('it is of another format')
    system = Machine(file, {}).run()
    if type(system) is not dict or system.get('little_endian') is not True:
        raise ValueError('it is not of a little-endian machine')
    storages = {}

    def persistent(identity):
        kind, dtype, key, _, count, view = identity
        plain = isinstance(dtype, np.dtype) and type(key) is str and view is None
        if kind != 'storage' or not plain:
            raise Refused('it asks for something that is no plain storage')
        return storages.setdefault(key, _Storage(dtype, count))

    tensors = Machine(file, _FUNCTIONS, persistent).run()
    keys = Machine(file, {}).run()
    if type(tensors) is not _OrderedDict or type(keys) is not list:
        raise ValueError('it does not hold a state dict')
    if not all(type(key) is str for key in keys):
        raise ValueError('a storage has no name')
    position = file.tell()
    for key in keys:
        position = storages[key].find(data, position)
    return {name: _build(tensor) for name, tensor in tensors.items()}


class _OrderedDict(dict):
    def __init__(self):
        """Without the arguments of dict, which could have keys that are not text."""

    def set_state(self, state):
        """Versions of the layers, of no use here."""


class _Storage:
    """One block of elements; `find` makes its `array` when its place is known."""

    def __init__(self, dtype, count):
        self.dtype, self.count = dtype, count
        self.array = None

    def find(self, data, position):
        """Take what lies at `position`; the position after it."""
        start = position + 8
        count = int.from_bytes(data[position:start], 'little')
        end = start + count * self.dtype.itemsize
        if count != self.count or end > len(data):
            raise ValueError('it ends too early, or a storage is not as long as announced')
        self.array = np.frombuffer(data, self.dtype, count, start)
        return end


@dataclasses.dataclass
class _Tensor:
    """The arguments of PyTorch's function that makes a tensor of a part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple
    requires_grad: bool
    hooks: dict


_FUNCTIONS = {
    'collections.OrderedDict': _OrderedDict,
    'torch._utils._rebuild_tensor_v2': _Tensor,
    **_STORAGES,
}


def _build(tensor):
    if type(tensor) is not _Tensor or type(tensor.storage) is not _Storage:
        raise ValueError('it holds something else than tensors')
    array, shape, strides = tensor.storage.array, tensor.shape, tensor.strides
    if array is None:
        raise ValueError('a tensor has no storage')
    for numbers in (shape, strides, (tensor.offset,)):
        # Few and small, so that their product is quick.
        if type(numbers) is not tuple or len(numbers) > 8 or not all(map(_is_count, numbers)):
            raise ValueError('the shape of a tensor is malformed')
    last = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    # The first: with strides of 0 a few elements would make an array of any size.
    if math.prod(shape) > array.size or (math.prod(shape) and tensor.offset + last >= array.size):
        raise ValueError('a tensor reaches beyond its storage')
    strides = [stride * array.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(array[tensor.offset :], shape, strides, writeable=False)


def _is_count(number):
    return type(number) is int and 0 <= number < 2**48
