"""Damage of any file: bits, bytes, length."""

import random


def damage(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Return what was done, and the damaged bytes."""
    name = rng.choice(list(_WAYS))
    return name, bytes(_WAYS[name](rng, bytearray(data)))


def _place(rng: random.Random, data: bytearray) -> int:
    """Headers and directories lie at the ends, so that these are hit more often."""
    size = max(len(data), 1)
    near = min(size, 512)
    return rng.choice([rng.randrange(size), rng.randrange(near), size - 1 - rng.randrange(near)])


def _flip(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice([1, 1, 2, 8])):
        if data:
            data[_place(rng, data)] ^= 1 << rng.randrange(8)
    return data


def _set(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice([1, 2, 4])):
        if data:
            data[_place(rng, data)] = rng.choice([0, 1, 127, 128, 255, 10, 32])
    return data


def _word(rng: random.Random, data: bytearray) -> bytearray:
    width = rng.choice([2, 4, 8])
    value = rng.choice([0, 1, 2**15, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 2**31, 65536])
    place = _place(rng, data)
    data[place : place + width] = (value % 2 ** (8 * width)).to_bytes(width, rng.choice(_ORDERS))
    return data


_ORDERS = ('little', 'big')


def _cut(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.choice([0, 1, len(data) - 1, _place(rng, data)])]


def _behead(rng: random.Random, data: bytearray) -> bytearray:
    return data[rng.choice([1, _place(rng, data)]) :]


def _leave_out(rng: random.Random, data: bytearray) -> bytearray:
    place = _place(rng, data)
    del data[place : place + rng.choice([1, 4, 64, 4096])]
    return data


def _insert(rng: random.Random, data: bytearray) -> bytearray:
    place = _place(rng, data)
    data[place:place] = rng.randbytes(rng.choice([1, 4, 64]))
    return data


def _double(rng: random.Random, data: bytearray) -> bytearray:
    place = _place(rng, data)
    return data[:place] + data[place : place + 512] + data[place:]


def _zero(rng: random.Random, data: bytearray) -> bytearray:
    place, count = _place(rng, data), rng.choice([16, 512, 4096])
    data[place : place + count] = bytes(len(data[place : place + count]))
    return data


def _append(rng: random.Random, data: bytearray) -> bytearray:
    return data + rng.choice([b'\0' * 512, data[:4096], rng.randbytes(100), b'\n'])


def _replace(rng: random.Random, data: bytearray) -> bytearray:
    return bytearray(rng.choice([b'', b'\0', b'PK\3\4', b'\x80\x04.', b'[]', rng.randbytes(2000)]))


_WAYS = {
    'bits flipped': _flip,
    'bytes set': _set,
    'a word set': _word,
    'cut off': _cut,
    'beheaded': _behead,
    'bytes left out': _leave_out,
    'bytes put in': _insert,
    'bytes doubled': _double,
    'bytes zeroed': _zero,
    'bytes appended': _append,
    'replaced': _replace,
}
