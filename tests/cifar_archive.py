"""CIFAR archives for tests: small ones with pictures, and ones of a few bytes."""

import gzip
import hashlib
import io
import random
import struct
import tarfile

import numpy as np

CLASS_NAMES = [
    'airplane',
    'automobile',
    'bird',
    'cat',
    'deer',
    'dog',
    'frog',
    'horse',
    'ship',
    'truck',
]
PER_BATCH = 40


def dump_python2(value):
    """Pickle `value` as Python 2 and the NumPy of its time did: protocol 2, every text a `str`."""
    return b'\x80\x02' + b''.join(_opcodes(value)) + b'.'


def _opcodes(value):
    if value is None:
        yield b'N'
    elif isinstance(value, bool):
        yield b'\x88' if value else b'\x89'
    elif isinstance(value, int):
        if 0 <= value < 256:
            yield struct.pack('<cB', b'K', value)
        elif 0 <= value < 65536:
            yield struct.pack('<cH', b'M', value)
        else:
            yield struct.pack('<ci', b'J', value)
    elif isinstance(value, (str, bytes)):
        data = value.encode('latin-1') if isinstance(value, str) else value
        short = len(data) < 256
        yield struct.pack('<cB', b'U', len(data)) if short else struct.pack('<ci', b'T', len(data))
        yield data
    elif isinstance(value, list):
        yield b']q\x09('
        for item in value:
            yield from _opcodes(item)
        yield b'e'
    elif isinstance(value, dict):
        yield b'}q\x08('
        for key, item in value.items():
            yield from _opcodes(key)
            yield from _opcodes(item)
        yield b'u'
    elif isinstance(value, tuple):
        yield b'('
        for item in value:
            yield from _opcodes(item)
        yield b't'
    elif isinstance(value, np.ndarray):
        order = '|' if value.dtype.itemsize == 1 else value.dtype.str[0]
        yield b'cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02'
        yield b'K\x00\x85U\x01b\x87Rq\x03(K\x01'
        yield from _opcodes(value.shape)
        yield b'cnumpy\ndtype\nq\x04'
        yield from _opcodes(value.dtype.str[1:])
        yield b'K\x00K\x01\x87Rq\x05('
        for item in (3, order, None, None, None, -1, -1, 0):
            yield from _opcodes(item)
        yield b'tb'
        yield from _opcodes(bool(value.flags.f_contiguous and not value.flags.c_contiguous))
        yield from _opcodes(value.tobytes('A'))
        yield b'tb'
    else:
        raise TypeError(type(value))


def write_cifar10(folder, per_batch=PER_BATCH):
    """Write `folder`/cifar-10-batches-py with `per_batch` pictures in each of the six batches.

    A picture is a pattern of its class under noise, so that a net can learn them.
    """
    rng = np.random.default_rng(0)
    coarse = rng.integers(64, 192, (10, 3, 4, 4))
    patterns = coarse.repeat(8, axis=2).repeat(8, axis=3).reshape(10, 3072)
    folder = folder / 'cifar-10-batches-py'
    folder.mkdir(parents=True)
    for name in [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']:
        labels = rng.permutation(np.arange(per_batch) % 10)
        data = (patterns[labels] + rng.integers(-48, 48, (per_batch, 3072))).astype(np.uint8)
        batch = {
            'batch_label': name,
            'labels': labels.tolist(),
            'data': data,
            'filenames': [f'{CLASS_NAMES[k]}_{i}.png' for i, k in enumerate(labels)],
        }
        (folder / name).write_bytes(dump_python2(batch))
    meta = {'num_cases_per_batch': per_batch, 'label_names': CLASS_NAMES, 'num_vis': 3072}
    (folder / 'batches.meta').write_bytes(dump_python2(meta))


# An archive as `download` accepts it; what is in its files is of no account to it.
NAMES = [*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch', 'batches.meta']
FILES = {name: random.Random(name).randbytes(40_000) for name in NAMES}


def pack(folder, files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f'{folder}/{name}')
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), 1)


CONTENT = pack('cifar-10-batches-py', FILES)
MD5 = hashlib.md5(CONTENT).hexdigest()
