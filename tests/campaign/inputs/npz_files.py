"""Zip files with odd members, and arrays with odd headers, types, shapes and values."""

import io
import pathlib
import random
import struct
import zipfile
import zlib

import numpy as np

import damage
from campaign.inputs import odd, raw_bytes
from campaign.inputs.json_files import change as change_json
from campaign.inputs.json_files import reader
from campaign.inputs.world import TRAIN
from campaign.sandbox import Trial, put

_PREDICT = ('predict', 'models/run', 'pictures/c/00.png')
_DRY = (*TRAIN, '--dry_run', '-d', 'dataset/image_raw.pkl')
_RESUME = ('train', '--resume', '-p', 'run', '--iter', '3')

READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    'models/run/best.npz': (_PREDICT, ('summary', 'run'), (*_DRY, '--init', 'run')),
    'models/run/input.npz': (_PREDICT, ('visualize', 'run', '--only', 'filters')),
    'models/run/snapshot-00000012.npz': (
        ('train', '--resume', 'models/run/snapshot-00000012.npz'),
        _RESUME,
        ('predict', 'models/run/snapshot-00000012.npz', 'pictures/c/00.png'),
    ),
    'dataset/image_raw_stats.npz': (_DRY,),
    'results/folded/folds.npz': (('report', 'folded'), ('train', '--resume', '-p', 'folded')),
    'dataset/own/image_raw/train.npy': (
        (*TRAIN, '--dry_run', '-d', 'dataset/own/image_raw', '-l', 'dataset/own/label.pkl'),
        ('evaluate', 'own', '--set', 'train', '--limit', '2'),
    ),
}


def make(rng: random.Random) -> Trial:
    name = rng.choice([name for name in READERS if pathlib.Path(name).exists()])
    data = pathlib.Path(name).read_bytes()
    if rng.random() < 0.2:
        how, data = raw_bytes.damage(rng, data)
    elif name.endswith('.npy'):
        how, data = _array(rng, data)
    else:
        how, data = (_members if rng.random() < 0.6 else _zip)(rng, data)
    put(name, data)
    kept = (name,) if 'snapshot' not in name and 'results' not in name else ()
    return Trial(f'npz: {name}: {how}', reader(rng, READERS[name]), kept)


def _read(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def _written(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', method) as file:
        for name, content in members:
            # Of a date of its own, or two would differ.
            info = zipfile.ZipInfo(name[:16_000])  # the format ends at 65,535 bytes
            info.compress_type = method
            file.writestr(info, content)
    return stream.getvalue()


# What is in the zip.


def _members(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Change some arrays."""
    members = _read(data)
    how = ''
    for name in rng.sample(list(members), min(len(members), rng.choice([1, 1, 1, 2, 5]))):
        way, members[name] = _array(rng, members[name])
        how = f'{name}: {way}'
    return how, _written(list(members.items()))


def _array(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Change an npy file."""
    kind = rng.random()
    if kind < 0.15:
        return raw_bytes.damage(rng, data)
    if kind < 0.45:
        return _header(rng, data)
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.kind == 'U' and not array.ndim and rng.random() < 0.7:
        return _text(rng, str(array))
    return _other(rng, array)


def _text(rng: random.Random, text: str) -> tuple[str, bytes]:
    """A text that is JSON or a word."""
    if text.startswith(('{', '[')):
        how, changed = change_json(rng, text.encode())
        text = changed.decode('utf-8', 'replace').rstrip('\0')
    else:
        how, text = 'a text', odd.text(rng).rstrip('\0').encode('utf-8', 'replace').decode()
    return how, _npy(np.array(text))


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def _other(rng: random.Random, array: np.ndarray) -> tuple[str, bytes]:
    """Another array of about the same meaning."""
    flat = array.ravel()
    one = flat[0] if flat.size else 0

    def filled() -> np.ndarray:
        with np.errstate(all='ignore'):
            value = odd.number(rng)
            try:
                other = array.copy()
                other.ravel()[rng.randrange(max(array.size, 1)) :] = value
                return other
            except (OverflowError, ValueError, IndexError):
                return np.full(array.shape, float(value) if abs(value) < 1e300 else 1e300)

    def cast() -> np.ndarray:
        kinds = [
            'f2',
            'f4',
            'f8',
            'g',
            'i1',
            'u1',
            'i8',
            'u8',
            '?',
            'c8',
            'S3',
            'U3',
            '>f4',
            'M8[s]',
        ]
        with np.errstate(all='ignore'):
            try:
                return array.astype(rng.choice(kinds))
            except (ValueError, TypeError):
                return np.zeros(array.shape, rng.choice(kinds))

    ways = {
        'another value': filled,
        'another dtype': cast,
        'an object': lambda: np.array([{'canary': 1}, _Evil()], object),
        'a structure': lambda: np.zeros(array.shape, [('a', 'f4'), ('b', 'i8', (2,))]),
        'no values': lambda: array.reshape(-1)[:0],
        'no axes': lambda: np.array(one),
        'an axis more': lambda: array[None],
        'flat': lambda: flat,
        'transposed': lambda: np.asfortranarray(array.T),
        'twice': lambda: np.concatenate([flat, flat]),
        'one row': lambda: array[:1] if array.ndim else array,
        'many axes': lambda: np.zeros((1,) * 32),
        'a word': lambda: np.array(rng.choice(odd.TEXTS).encode('utf-8', 'replace').decode()),
        'a number': lambda: np.array(rng.choice([-1, 0, 1, 2**31, 2**62, 1e300, np.nan])),
        'large': lambda: np.zeros((3000, 1000), array.dtype if array.dtype.kind in 'fiu' else 'f4'),
    }
    name = rng.choice(list(ways))
    return name, _npy(ways[name]())


class _Evil:
    """What a reader of pickles would run."""

    def __reduce__(self):
        import os

        return os.system, ('touch ../outside/ran # canary',)


_DESCRS = (
    *("'<f4'", "'|O'", "'O'", "'<U1000000000'", "'|V0'", "'|V1000000'", "'<M8[ns]'", "'<f16'"),
    *("'|b1'", "'>f4'", "'<c16'", "'|S0'", "'canary'", "''", '5', 'None', "[('a','<f4')]", '[]'),
    *("[('a','<f4'),('a','<f4')]", "[('a',[('b',[('c','|O')])])]", "('<f4',(2,3))", "{'a': 1}"),
    *("[('f','<f4',(1000000000,))]", "'f4,i8'", "'<f4' if 1 else 2", "'m8[7D]'", "'|T'", "'=f4'"),
)
_SHAPES = (
    *('()', '(0,)', '(-1,)', '(1,)', '(10**9,)', '(1000000000,)', '(2305843009213693952,)'),
    *('(4294967296,4294967296)', '(1.5,)', "('a',)", '(True,)', 'None', '[1,2]', '5', '(1,)*33'),
    *('(18446744073709551616,)', '(0,' + '1,' * 63 + ')', '(0,1000000000000)', '(-3,-3)'),
)
_HEADERS = (
    "__import__('os').system('touch ../outside/ran # canary')",
    "{'descr': __import__('os').system('touch ../outside/ran'), 'shape': (), 'fortran_order': 0}",
    *('{', '', '{}', '[]', '"canary"', '(' * 5000, '-' * 9000 + '1', '{' * 300, "{'descr':'<f4'}"),
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'canary': 1}",
    "{'descr': '<f4', 'fortran_order': 'no', 'shape': (1,)}",
    '\x00' * 40,
)


def _header(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    version, start = data[6], 10 if data[6] == 1 else 12
    length = int.from_bytes(data[8:start], 'little')
    text, rest = data[start : start + length].decode('latin-1'), data[start + length :]
    way = rng.choice(['descr', 'shape', 'order', 'whole', 'version', 'length'])
    if way == 'descr':
        shape = text.partition("'shape': ")[2].rpartition(')')[0]
        text = f"{{'descr': {rng.choice(_DESCRS)}, 'fortran_order': False, 'shape': {shape})}}"
    elif way == 'shape':
        text = text.partition("'shape': ")[0] + f"'shape': {rng.choice(_SHAPES)}, }}"
    elif way == 'order':
        text = text.replace('False', rng.choice(['True', '1', 'None', "'x'", '[]']))
    elif way == 'whole':
        text = rng.choice(_HEADERS)
    elif way == 'version':
        version = rng.choice([0, 1, 2, 3, 4, 255])
    body = text.encode('latin-1') + b'\n'
    count = rng.choice([0, 1, 2**16 - 1, 2**31, 2**32 - 1]) if way == 'length' else len(body)
    size = struct.pack('<H', count % 2**16) if version == 1 else struct.pack('<I', count)
    return f'header: {way}', b'\x93NUMPY' + bytes([version, 0]) + size + body + rest


# The zip itself.


def _zip(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    members = list(_read(data).items())
    name, content = rng.choice(members)
    others = [pair for pair in members if pair[0] != name]
    names = [
        *('../outside/ran', '/tmp/canary.npy', 'a' * 70000, '', '.npy', f'{name}.npy', name[:-4]),
        *('x\n\x1b[31m.npy', 'x\x00y.npy', '猫.npy', 'dir/', f'./{name}', f'{name} ', name.upper()),
    ]
    ways = {
        'a member twice': lambda: _written([*members, (name, content)]),
        'a member twice, the second odd': lambda: _written([*members, (name, b'canary')]),
        'a member is gone': lambda: _written(others),
        'a member more': lambda: _written([*members, (rng.choice(names), content)]),
        'a member of another name': lambda: _written(
            [*others, (rng.choice(names)[:60000], content)]
        ),
        'a member of text': lambda: _written([*others, (name, b'canary ' * 10)]),
        'members swapped': lambda: _swapped(rng, members),
        'no members': lambda: _written([]),
        'many members': lambda: _written(
            [*members, *((f'm{i}.npy', content[:128]) for i in range(5000))]
        ),
        'compressed': lambda: _written(members, zipfile.ZIP_DEFLATED),
        'of lzma': lambda: _written(members, zipfile.ZIP_LZMA),
        'of bzip2': lambda: _written(members, zipfile.ZIP_BZIP2),
        'in a zip': lambda: _written([(name, data)]),
        'with junk before': lambda: rng.randbytes(300) + data,
        'with a comment': lambda: data[:-2] + b'\x05\x00abcde',
        'lying sizes': lambda: _directory(rng, data, (20, 24), 4),
        'lying places': lambda: _directory(rng, data, (42,), 4),
        'lying checksums': lambda: _directory(rng, data, (16,), 4),
        'lying flags': lambda: _directory(rng, data, (6, 8, 10, 28, 30, 32, 34, 38), 2),
        'lying local headers': lambda: _directory(
            rng, data, (4, 6, 8, 14, 18, 22, 26, 28), 2, b'PK\3\4'
        ),
        'a damaged directory': lambda: _damaged(rng, data),
    }
    if rng.random() < 0.02:  # it takes long
        return 'a bomb', _bomb(name)
    way = rng.choice(list(ways))
    return way, ways[way]()


def _swapped(rng: random.Random, members: list[tuple[str, bytes]]) -> bytes:
    contents = [content for _, content in members]
    rng.shuffle(contents)
    return _written([(name, content) for (name, _), content in zip(members, contents, strict=True)])


def _directory(
    rng: random.Random, data: bytes, offsets: tuple[int, ...], width: int, mark: bytes = b'PK\1\2'
) -> bytes:
    """Set a field of one entry, or of all."""
    changed, place, all_of_them = bytearray(data), -1, rng.random() < 0.3
    places = []
    while (place := data.find(mark, place + 1)) >= 0:
        places.append(place)
    offset = rng.choice(offsets)
    value = rng.choice([0, 1, 9, 99, 255, 2**15, 2**16 - 1, 2**31, 2**32 - 1, len(data)])
    for place in places if all_of_them else [rng.choice(places)]:
        start = place + offset
        changed[start : start + width] = (value % 2 ** (8 * width)).to_bytes(width, 'little')
    return bytes(changed)


def _damaged(rng: random.Random, data: bytes) -> bytes:
    path = pathlib.Path('damaged.npz')
    path.write_bytes(data)
    damage.header(path, rng.choice(list(damage.HEADERS)))
    changed = path.read_bytes()
    path.unlink()
    return changed


def _bomb(name: str, megabytes: int = 6000) -> bytes:
    """A member of a few megabytes that unpacks to `megabytes` of zeros."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    shape = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({megabytes * 2**18},), }}"
    start = np.lib.format.magic(1, 0) + b'v\0' + shape.ljust(117).encode() + b'\n'
    first = pack.compress(start) + pack.flush(zlib.Z_FULL_FLUSH)
    block = pack.compress(bytes(2**20)) + pack.flush(zlib.Z_FULL_FLUSH)
    packed = first + block * megabytes + pack.flush()
    plain = min(len(start) + megabytes * 2**20, 2**32 - 2)  # the most that the field takes
    encoded = name.encode()
    local = struct.pack(
        '<4s5H3I2H', b'PK\3\4', 20, 0, 8, 0, 0x21, 0, len(packed), plain, len(encoded), 0
    )
    entry = struct.pack(
        '<4s6H3I5H2I', b'PK\1\2', 20, 20, 0, 8, 0, 0x21, 0, len(packed), plain, len(encoded),
        0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    head = local + encoded + packed
    directory = entry + encoded
    end = struct.pack('<4s4H2IH', b'PK\5\6', 0, 0, 1, 1, len(directory), len(head), 0)
    return head + directory + end
