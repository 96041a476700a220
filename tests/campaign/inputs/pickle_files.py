"""Pickles: programs of every opcode, changed programs of arrays, and arrays of odd kinds."""

import datetime
import decimal
import io
import os
import pathlib
import pickle
import pickletools
import random
import struct
from typing import Any

import numpy as np

from campaign.inputs import odd, raw_bytes
from campaign.inputs.json_files import reader
from campaign.inputs.world import TRAIN
from campaign.sandbox import FUNCTIONS, Trial, put

_DRY = (*TRAIN, '--dry_run', '-d', 'dataset/image_raw.pkl')
_DATASET = ('dataset', '--dir', '.', '--only', 'raw', '--out', 'new')
READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    'dataset/label.pkl': (_DRY, ('evaluate', 'run', '--limit', '4')),
    'dataset/image_raw.pkl': (
        _DRY,
        ('predict', 'run', '--first', '2'),
        ('summary', *TRAIN[1:5], '-d', 'dataset/image_raw.pkl'),
    ),
    'dataset/own/label.pkl': (
        (*TRAIN, '--dry_run', '-d', 'dataset/own/image_raw', '-l', 'dataset/own/label.pkl'),
    ),
    'cifar-10-batches-py/data_batch_1': (_DATASET,),
    'cifar-10-batches-py/batches.meta': (_DATASET,),
    'weights.pth': (('torch',),),
}


def _read_torch() -> None:
    from chainer_cifar.weights import torch_file

    path = pathlib.Path('weights.pth')
    torch_file.load(path.read_bytes(), path)


FUNCTIONS['torch'] = _read_torch


def make(rng: random.Random) -> Trial:
    name = rng.choice(list(READERS))
    path = pathlib.Path(name)
    data = path.read_bytes() if path.exists() else _torch(rng)
    kind = rng.random()
    if kind < 0.15:
        how, data = raw_bytes.damage(rng, data)
    elif kind < 0.4:
        how, data = _random_program(rng)
    elif kind < 0.7:
        how, data = _changed(rng, data)
    elif kind < 0.8:
        how, data = _evil(rng)
    else:
        how, data = _odd_content(rng, data)
    put(path, data)
    return Trial(f'pickle: {name}: {how}', reader(rng, READERS[name]), (name,))


def _torch(rng: random.Random) -> bytes:
    import torch_writer

    arrays = {
        f'layer{i}.weight': np.ones((2, 3), rng.choice(['f4', 'f8', 'f2', 'i8'])) for i in (1, 2)
    }
    return torch_writer.save(arrays)


# Programs of random opcodes.

_OPCODES = {opcode.name: opcode for opcode in pickletools.opcodes}
_NAMES = (
    *(('os', 'system'), ('builtins', 'eval'), ('builtins', 'exec'), ('numpy', 'ndarray')),
    *(('numpy', 'dtype'), ('numpy.core.multiarray', '_reconstruct'), ('subprocess', 'Popen')),
    *(('numpy._core.numeric', '_frombuffer'), ('_codecs', 'encode'), ('copyreg', '_reconstructor')),
    *(('canary_module', 'canary'), ('numpy', 'load'), ('os', 'system\x1b[31m'), ('', '')),
)


def _argument(rng: random.Random, opcode: pickletools.OpcodeInfo) -> bytes:
    """Bytes that may follow an opcode."""
    kind = opcode.arg.name if opcode.arg else ''
    data = rng.choice(
        [b'', b'a', b'canary', b'train', b'\xff' * 3, b'1' * 300, b'touch ../outside/ran']
    )
    wild = rng.random() < 0.15
    if kind in ('stringnl', 'unicodestringnl', 'stringnl_noescape'):
        return rng.choice([b"'train'\n", b'canary\n', b"'a\n", b'\n', b'x' * 300])
    if kind == 'stringnl_noescape_pair':
        module, name = rng.choice(_NAMES)
        return f'{module}\n{name}\n'.encode()
    if kind in ('decimalnl_short', 'decimalnl_long', 'floatnl'):
        return rng.choice(
            [b'5\n', b'00\n', b'01\n', b'1e400\n', b'-7L\n', b'x\n', b'9' * 5000 + b'\n']
        )
    if kind in ('uint1', 'uint2', 'int4', 'uint4', 'uint8'):
        width = int(kind[-1])
        return rng.choice([0, 1, 2, 255, 2 ** (8 * width) - 1]).to_bytes(width, 'little')
    if kind == 'float8':
        return struct.pack('>d', rng.choice(odd.FLOATS))
    for end, width in (('1', 1), ('4', 4), ('8', 8)):
        if kind.endswith(end):
            count = rng.choice([2**31 - 1, 2 ** (8 * width - 1) - 1, 255]) if wild else len(data)
            return min(count, 2 ** (8 * width) - 1).to_bytes(width, 'little') + data
    return b''


def _random_program(rng: random.Random) -> tuple[str, bytes]:
    names = list(_OPCODES)
    if rng.random() < 0.5:  # those with which one gets further
        names = [name for name in names if name not in ('STOP', 'POP', 'PERSID', 'EXT1', 'EXT2')]
    program = bytearray(b'\x80' + bytes([rng.choice([0, 2, 3, 4, 5, 9])]))
    for _ in range(rng.choice([1, 3, 10, 40])):
        opcode = _OPCODES[rng.choice(names)]
        program += opcode.code.encode('latin-1') + _argument(rng, opcode)
    return 'random opcodes', bytes(program) + rng.choice([b'.', b'', b'}.'])


def _changed(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Change the opcodes of a program."""
    try:
        places = [place for _, _, place in pickletools.genops(data)]
    except Exception:
        return raw_bytes.damage(rng, data)
    parts = [data[i:j] for i, j in zip(places, [*places[1:], None], strict=True)]
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.randrange(len(parts))
        way = rng.choice(['left out', 'doubled', 'swapped', 'put in', 'replaced', 'argument'])
        opcode = _OPCODES[rng.choice(list(_OPCODES))]
        other = opcode.code.encode('latin-1') + _argument(rng, opcode)
        if way == 'left out':
            parts[place] = b''
        elif way == 'doubled':
            parts.insert(place, parts[place])
        elif way == 'swapped':
            second = rng.randrange(len(parts))
            parts[place], parts[second] = parts[second], parts[place]
        elif way == 'put in':
            parts.insert(place, other)
        elif way == 'replaced':
            parts[place] = other
        else:
            parts[place] = parts[place][:1] + raw_bytes.damage(rng, parts[place][1:])[1][:100]
    return f'opcodes {way}', b''.join(parts)


class _Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def _evil(rng: random.Random) -> tuple[str, bytes]:
    """Programs that start something if they are believed."""
    command = 'touch ../outside/ran # canary'
    depth = rng.choice([100, 10_000, 400_000])
    ways = {
        'os.system': lambda: pickle.dumps(_Call(os.system, command), rng.randrange(6)),
        'eval': lambda: pickle.dumps(_Call(eval, f'__import__("os").system("{command}")')),
        'exec': lambda: pickle.dumps({'train': _Call(exec, 'canary = 1'), 'test': 1}),
        'open': lambda: pickle.dumps({'train': _Call(open, '../outside/secret')}),
        'numpy.load': lambda: pickle.dumps({'train': _Call(np.load, '../outside/secret')}),
        'INST': lambda: b'(S"' + command.encode() + b'"\nios\nsystem\n.',
        'OBJ': lambda: b'(cos\nsystem\nS"' + command.encode() + b'"\no.',
        'NEWOBJ': lambda: b'\x80\x02cbuiltins\nexec\n(X\x06\0\0\0canaryt\x81.',
        'EXT': lambda: b'\x80\x02\x82\x01.',
        'PERSID': lambda: b'\x80\x02X\x06\0\0\0canaryQ.',
        'BUILD': lambda: b'\x80\x02cnumpy\ndtype\n(X\x01\0\0\0btRX\x06\0\0\0canaryb.',
        'deep tuple as key': lambda: b'\x80\x02}' + b')' + b'\x85' * depth + b'K\1s.',
        'deep lists': lambda: b'\x80\x02' + b']' * depth + b'a' * (depth - 1) + b'.',
        'deep marks': lambda: b'\x80\x02' + b'(' * depth + b't' * depth + b'.',
        'a list in itself': lambda: b'\x80\x02]q\0h\0a.',
        'a dictionary in itself': lambda: b'\x80\x02}q\0X\5\0\0\0trainh\0s.',
        'doubling': lambda: (
            b'\x80\x02]q\0' + b''.join(b'(h%ch%ce' % (0, 0) for _ in range(30)) + b'.'
        ),
        'one text encoded often': lambda: (
            b'\x80\x02X\x40\x42\x0f\0' + b'a' * 10**6 + b'q\0c_codecs\nencode\nq\1'
            b'X\6\0\0\0latin1q\2(' + b'h\1h\0h\2\x86R' * 6000 + b't.'
        ),
        'a large memo': lambda: b'\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\xff.',
        'a large number': lambda: (
            b'\x80\x02\x8b' + struct.pack('<i', depth) + b'\xff' * depth + b'.'
        ),
        'a negative length': lambda: b'\x80\x02\x8b\xff\xff\xff\xff.',
        'a large frame': lambda: b'\x80\x04\x95' + b'\xff' * 8 + b'}.',
        'a large text': lambda: b'\x80\x04\x8d' + struct.pack('<Q', 2**40) + b'a.',
        'two programs': lambda: pickle.dumps({}) * 2,
    }
    name = rng.choice(list(ways))
    return name, ways[name]()


def _odd_content(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """A dictionary of about the right kind."""
    try:
        content = dict(_plain(data))
    except Exception:  # PyTorch's files are several pickles
        content = {'train': np.zeros(3, 'i4'), 'test': np.zeros(3, 'i4')}
    key = rng.choice(list(content)) if content else 'train'
    array = np.asarray(content.get(key, 0))
    made = {
        'an odd number': lambda: odd.number(rng),
        'an odd value': lambda: odd.value(rng),
        'a list': array.tolist,
        'objects': lambda: np.array([1, None, 'canary'], object),
        'large numbers': lambda: np.full(array.shape, rng.choice([2**62, 10**8, 2**31 - 1])),
        'negative numbers': lambda: np.full(array.shape, -1),
        'not finite': lambda: np.full(array.shape, rng.choice([np.nan, np.inf, 1e300])),
        'masked': lambda: np.ma.masked_array(array),
        'a matrix': lambda: np.matrix([[1, 2]]),
        'a structure': lambda: np.zeros(3, [('a', 'f4')]),
        'dates': lambda: np.zeros(3, 'M8[s]'),
        'a date': lambda: datetime.datetime(2020, 1, 1),
        'a decimal': lambda: decimal.Decimal(1),
        'text': lambda: np.array(['a', 'b']),
        'half as many': lambda: array[: len(array) // 2] if array.ndim else array,
        'none': lambda: array[:0] if array.ndim else array,
        'flat': array.ravel,
        'more axes': lambda: array[..., None],
        'in Fortran order': lambda: np.asfortranarray(array),
        'in the other byte order': lambda: array.astype(array.dtype.newbyteorder()),
        'in other numbers': lambda: _cast(rng, array),
        'bytes': array.tobytes,
        'a set': lambda: {1, 2},
        'complex': lambda: 1j,
    }
    way = rng.choice([*made, 'gone', 'renamed', 'more', 'key'])
    if way in made:
        content[key] = made[way]()
    elif way == 'gone':
        content.pop(key, None)
    elif way == 'renamed':
        content[key.upper() if isinstance(key, str) else 'x'] = content.pop(key, None)
    elif way == 'more':
        content[odd.text(rng)] = odd.value(rng)
    else:
        content[rng.choice([1, None, b'train', (1, 2), 1.5])] = 1
    protocol = rng.randrange(6)
    stream = io.BytesIO()
    pickle.Pickler(stream, protocol).dump(content)
    return f'{key}: {way}, protocol {protocol}', stream.getvalue()


def _cast(rng: random.Random, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in 'iuf':  # a text is no number
        return np.arange(array.size, dtype='i2')
    with np.errstate(all='ignore'):
        return array.astype(rng.choice(['f2', 'f8', 'i8', 'u8', 'u1', 'i1', '?', 'c8', 'g']))


def _plain(data: bytes) -> dict[Any, Any]:
    """Our own data, read as they were written."""
    return pickle.loads(data, encoding='latin-1')
