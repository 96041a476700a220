"""Writes PyTorch's file format of before 1.6 without PyTorch, well-formed or not."""

import dataclasses
import pickle
import struct

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {'f4': 'FloatStorage', 'f8': 'DoubleStorage', 'f2': 'HalfStorage', 'i8': 'LongStorage'}


@dataclasses.dataclass
class Global:
    name: str


@dataclasses.dataclass
class Call:
    function: Global
    arguments: tuple


@dataclasses.dataclass
class Persistent:
    identity: object


@dataclasses.dataclass
class Filled:
    """A call, then the items of a dictionary, then its state."""

    call: Call
    items: dict
    state: object


def opcodes(value):
    """Protocol-2 opcodes that push `value`."""
    match value:
        case Global():
            module, _, name = value.name.rpartition('.')
            return f'c{module}\n{name}\n'.encode()
        case Call():
            return opcodes(value.function) + opcodes(value.arguments) + b'R'
        case Persistent():
            return opcodes(value.identity) + b'Q'
        case Filled():
            items = b''.join(opcodes(key) + opcodes(item) for key, item in value.items.items())
            return opcodes(value.call) + b'(' + items + b'u' + opcodes(value.state) + b'b'
        case tuple():
            return b'(' + b''.join(map(opcodes, value)) + b't'
    # Plain data: pickle's own opcodes, without the protocol before and the stop after.
    return pickle.dumps(value, 2)[2:-1]


def program(value):
    return b'\x80\x02' + opcodes(value) + b'.'


def storage(key, array):
    kind = Global(f'torch.{STORAGES[array.dtype.str[1:]]}')
    return Persistent(('storage', kind, key, 'cpu', array.size, None))


def tensor(storage, offset, shape, strides):
    empty = Call(Global('collections.OrderedDict'), ())
    arguments = (storage, offset, shape, strides, False, empty)
    return Call(Global('torch._utils._rebuild_tensor_v2'), arguments)


def state_dict(tensors):
    state = {'_metadata': Call(Global('collections.OrderedDict'), ())}
    # pickle cannot write our marks inside a dictionary, so this one is spelled out, too.
    metadata = b'}' + opcodes('_metadata') + opcodes(state['_metadata']) + b's'
    ordered = Call(Global('collections.OrderedDict'), ())
    return b'\x80\x02' + opcodes(Filled(ordered, tensors, None))[:-2] + metadata + b'b.'


def write(tensors, storages, little_endian=True, magic=MAGIC, protocol=1001):
    """The bytes of a file.

    Args:
        tensors (dict): From names to what `tensor` made.
        storages (dict): From keys to 1-dimensional arrays.
    """
    system = {'protocol_version': 1001, 'little_endian': little_endian, 'type_sizes': {'int': 4}}
    parts = [pickle.dumps(value, 2) for value in (magic, protocol, system)]
    parts += [state_dict(tensors), pickle.dumps(list(storages), 2)]
    parts += [struct.pack('<q', len(array)) + array.tobytes() for array in storages.values()]
    return b''.join(parts)


def save(arrays):
    """The bytes of a file of contiguous tensors, each with a storage of its own."""
    flat = {str(i): np.ravel(array) for i, array in enumerate(arrays.values())}
    tensors = {}
    for (name, array), key in zip(arrays.items(), flat, strict=True):
        strides = tuple(stride // array.itemsize for stride in np.ascontiguousarray(array).strides)
        strides = strides[: array.ndim]  # ascontiguousarray makes a scalar a vector
        tensors[name] = tensor(storage(key, flat[key]), 0, array.shape, strides)
    return write(tensors, flat)
