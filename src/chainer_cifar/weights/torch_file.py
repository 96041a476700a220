"""Read the tensors of a PyTorch state dict without PyTorch, and without running anything in it.

The format is the one of ``torch.save`` before 1.6: five pickles (a magic number, the version, the
system, the state dict, the keys of the storages) and then each storage, as its number of elements
(int64) and their bytes. The pickles are interpreted by `chainer_cifar.data.pickles.Machine`, which
imports and calls nothing: here it knows an ordered dictionary, a tensor, and the storage types.
"""

import dataclasses
import io
import math
import os
from typing import Any, BinaryIO

import numpy as np

from chainer_cifar.arrays import Array
from chainer_cifar.data.pickles import Machine, Refused, one_line

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

_STORAGES: dict[str, np.dtype[Any]] = {
    'torch.FloatStorage': np.dtype('<f4'),
    'torch.DoubleStorage': np.dtype('<f8'),
    'torch.HalfStorage': np.dtype('<f2'),
    'torch.LongStorage': np.dtype('<i8'),
    'torch.IntStorage': np.dtype('<i4'),
    'torch.ShortStorage': np.dtype('<i2'),
    'torch.CharStorage': np.dtype('<i1'),
    'torch.ByteStorage': np.dtype('<u1'),
}


def load(data: bytes, path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read the tensors in a file of ``torch.save(model.state_dict(), path)``.

    Args:
        data: The file's content.
        path: The file's name, for error messages.

    Returns:
        Read-only arrays by name, which share the memory of `data`.

    Raises:
        UserError: The file is damaged, has another format, or holds anything but tensors.
    """
    with one_line(path, 'PyTorch state dict'):
        return _load(io.BytesIO(data), data)


def _load(file: BinaryIO, data: bytes) -> dict[str, Array]:
    if Machine(file, {}).run() != MAGIC or Machine(file, {}).run() != PROTOCOL:
        raise ValueError('it has another format')
    system = Machine(file, {}).run()
    if type(system) is not dict or system.get('little_endian') is not True:
        raise ValueError('it does not come from a little-endian machine')
    storages: dict[str, _Storage] = {}

    def persistent(identity: Any) -> _Storage:
        kind, dtype, key, _, count, view = identity
        plain = isinstance(dtype, np.dtype) and type(key) is str and view is None
        if kind != 'storage' or not plain:
            raise Refused('it asks for something other than a plain storage')
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


class _OrderedDict(dict[str, Any]):
    def __init__(self) -> None:
        """Take none of dict's arguments, whose keys might be no text."""

    def set_state(self, state: object) -> None:
        """Ignore the versions of the layers."""


class _Storage:
    """One block of elements; `find` makes its `array` as soon as its place is known."""

    def __init__(self, dtype: np.dtype[Any], count: int) -> None:
        self.dtype, self.count = dtype, count
        self.array: Array | None = None

    def find(self, data: bytes, position: int) -> int:
        """Take the elements at `position`; return the position after them."""
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

    # Any objects, until `_build` has checked them.
    storage: Any
    offset: Any
    shape: Any
    strides: Any
    requires_grad: Any
    hooks: Any


_FUNCTIONS: dict[str, object] = {
    'collections.OrderedDict': _OrderedDict,
    'torch._utils._rebuild_tensor_v2': _Tensor,
    **_STORAGES,
}


def _build(tensor: object) -> Array:
    if type(tensor) is not _Tensor or type(tensor.storage) is not _Storage:
        raise ValueError('it holds something other than tensors')
    array, shape, strides = tensor.storage.array, tensor.shape, tensor.strides
    if array is None:
        raise ValueError('a tensor has no storage')
    for numbers in (shape, strides, (tensor.offset,)):
        # Few and small numbers, so that their product is quick to compute.
        if type(numbers) is not tuple or len(numbers) > 8 or not all(map(_is_count, numbers)):
            raise ValueError('the shape of a tensor is malformed')
    last = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    # The first test: with strides of 0 a few elements would make an array of any size.
    if math.prod(shape) > array.size or (math.prod(shape) and tensor.offset + last >= array.size):
        raise ValueError('a tensor reaches beyond its storage')
    strides = [stride * array.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(array[tensor.offset :], shape, strides, writeable=False)


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**48
