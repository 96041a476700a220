"""Keras' weights with odd datasets, types, groups and links."""

import pathlib
import random
import zlib

import h5py
import numpy as np

import tiny_net
from campaign.inputs import odd, raw_bytes
from campaign.inputs.world import TRAIN
from campaign.sandbox import FUNCTIONS, Trial, put

NAME = 'w.h5'
_COMMAND = (*TRAIN, '--dry_run', '-d', 'dataset/image_raw.pkl', '--init', NAME)


def _read() -> None:
    from chainer_cifar.weights.initialize import initialize

    print(initialize(tiny_net.Tiny(), NAME))


FUNCTIONS['init'] = _read


def make(rng: random.Random) -> Trial:
    data = pathlib.Path(NAME).read_bytes()
    if rng.random() < 0.35:
        how, data = raw_bytes.damage(rng, data)
        put(NAME, data)
    else:
        put(NAME, data)
        with h5py.File(NAME, 'r+') as file:
            how = _change(rng, file)
    argv = ('init',) if rng.random() < 0.9 else _COMMAND
    return Trial(f'h5: {how}', argv, (NAME,))


def _change(rng: random.Random, file: h5py.File) -> str:
    places: list[str] = []
    file.visititems(
        lambda name, item: places.append(name) if isinstance(item, h5py.Dataset) else None
    )
    name = rng.choice(places)
    shape = file[name].shape
    group = file[name].parent
    short = name.rpartition('/')[2]

    def replace(**options: object) -> None:
        del group[short]
        group.create_dataset(short, **options)

    def virtual() -> None:
        layout = h5py.VirtualLayout(shape, 'f4')
        layout[...] = h5py.VirtualSource(rng.choice(['../outside/secret', '.']), 'x', shape)
        del group[short]
        group.create_virtual_dataset(short, layout)

    def bomb() -> None:
        side = 2**11
        made = group.create_dataset(
            f'{short}x', (side * 1024, side), 'f4', chunks=(side, side), compression='gzip'
        )
        block = zlib.compress(bytes(side * side * 4), 9)
        for i in range(1024):
            made.id.write_direct_chunk((i * side, 0), block)
        del group[short]
        group.move(f'{short}x', short)

    def odd_type() -> None:
        kinds = [
            *(h5py.string_dtype(), h5py.vlen_dtype(np.int32), np.dtype([('a', 'f4')]), 'S5', 'i8'),
            *(
                h5py.enum_dtype({'A': 1}),
                np.dtype('V7'),
                'f2',
                '>f8',
                'u1',
                '?',
                'c8',
                h5py.ref_dtype,
            ),
        ]
        kind = np.dtype(rng.choice(kinds))
        replace(shape=shape, dtype=kind)
        if kind.kind in 'fiu':
            group[short][...] = 1

    def odd_value() -> None:
        value = odd.number(rng)
        with np.errstate(all='ignore'):
            file[name][...] = np.float32(value if abs(value) < 1e300 else np.inf)

    def odd_name() -> None:
        other = odd.text(rng).replace('\0', '').encode('utf-8', 'replace').decode().strip('/.')
        parent = rng.choice([group, file])
        if other and other not in parent:
            parent.move(short, other) if parent == group else group.copy(short, parent, other)

    def deep() -> None:
        inside = group
        for _ in range(rng.choice([50, 400])):
            inside = inside.create_group('a')
        inside['kernel:0'] = np.ones(shape, 'f4')

    def relinked(link: object) -> None:
        del group[short]
        group[short] = link

    def in_itself() -> None:
        group['itself'] = file['/']

    def many() -> None:
        for i in range(3000):
            group[f'w{i}'] = np.float32(i)

    ways = {
        'external storage': lambda: replace(
            shape=shape, dtype='f4', external=[(b'../outside/secret', 0, h5py.h5f.UNLIMITED)]
        ),
        'a virtual dataset': virtual,
        'an external link': lambda: relinked(h5py.ExternalLink('../outside/secret', '/x')),
        'a link to nothing': lambda: relinked(h5py.SoftLink('/nowhere')),
        'a link to itself': lambda: relinked(h5py.SoftLink(f'/{name}')),
        'a group in itself': in_itself,
        'never written': lambda: replace(shape=(2 * 10**9,), dtype='f4'),
        'never written, in parts': lambda: replace(
            shape=(10**6, 10**6), dtype='f4', chunks=(10, 10)
        ),
        'a bomb': bomb,
        'an odd type': odd_type,
        'an odd value': odd_value,
        'an odd name': odd_name,
        'no axes': lambda: replace(data=np.float32(1)),
        'no values': lambda: replace(data=np.zeros((0, 3), 'f4')),
        'nothing': lambda: replace(data=h5py.Empty('f4')),
        'many axes': lambda: replace(data=np.zeros((1,) * 32, 'f4')),
        'another shape': lambda: replace(data=np.ones(tuple(n + 1 for n in shape), 'f4')),
        'turned': lambda: replace(data=np.ones(shape[::-1], 'f4')),
        'a group instead': lambda: (group.pop(short, None), group.create_group(short)),
        'gone': lambda: group.pop(short, None),
        'deep groups': deep,
        'many weights': many,
        'Keras 3': lambda: file.move(name, 'layers/vars/0'),
        'as a model': lambda: [file.move(key, f'model_weights/{key}') for key in list(file)],
        'an external link as model': lambda: file.__setitem__(
            'model_weights', h5py.ExternalLink('../outside/secret', '/')
        ),
        'a dataset as model': lambda: file.create_dataset('model_weights', data=1.0),
        'odd attributes': lambda: file.attrs.update({'layer_names': [b'\xff'], 'canary': 2**60}),
        'a filter': lambda: replace(data=np.ones(shape, 'f4'), chunks=True, fletcher32=True),
    }
    way = rng.choice(list(ways))
    ways[way]()
    return f'{name}: {way}'
