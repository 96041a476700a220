"""Other things than files where files are expected: pipes, folders, links, holes, nothing."""

import os
import pathlib
import random
import shutil
import socket
from collections.abc import Callable

from campaign.inputs import csv_files, json_files, npz_files, onnx_files, pickle_files
from campaign.inputs.world import ONNX, TRAIN
from campaign.sandbox import Trial

_DRY = (*TRAIN, '--dry_run', '-d', 'dataset/image_raw.pkl')
_EVALUATE = ('evaluate', 'run', '--limit', '4')

READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    **json_files.READERS,
    **npz_files.READERS,
    **{name: lines for name, lines in pickle_files.READERS.items() if name != 'weights.pth'},
    **{name: lines[:1] for name, lines in csv_files.READERS.items()},
    **({onnx_files.NAME: (('predict', onnx_files.NAME, 'pictures/c/00.png'),)} if ONNX else {}),
    'w.h5': (('init',),),
    'pictures/c/00.png': (
        ('predict', 'run', 'pictures/c/00.png'),
        ('predict', 'run', 'pictures'),
        ('dataset', 'pictures', '--size', '8', '--out', 'new', '-j', '1'),
    ),
    'cifar-10-python.tar.gz': (('download', '--dir', '.', '--md5', 'skip', '--retries', '0'),),
    # Folders, of which all that is above can happen, too.
    'dataset': (_DRY, _EVALUATE),
    'models': (('predict', 'run', 'pictures'), _EVALUATE),
    'results': (('compare', 'run'), _EVALUATE, ('report', 'several')),
    'models/run': (('predict', 'run', 'pictures'), ('train', '--resume', '-p', 'run')),
    'results/run': (('compare', 'run'), ('train', '--resume', '-p', 'run')),
    'results/several/seed1': (('compare', 'several'), ('train', '--resume', '-p', 'several')),
    'pictures': (('predict', 'run', 'pictures'), ('dataset', 'pictures', '--size', '8')),
    'pictures/c': (('dataset', 'pictures', '--size', '8', '--out', 'new', '-j', '1'),),
    'dataset/own/image_raw': (('evaluate', 'own', '--limit', '2'),),
    'cifar-10-batches-py': (('dataset', '--dir', '.', '--only', 'raw', '--out', 'new'),),
}


def make(rng: random.Random) -> Trial:
    name = rng.choice(list(READERS))
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    way = rng.choice(list(_WAYS))
    if path.is_dir() and not path.is_symlink():
        aside = path.with_name(f'{path.name}.aside')
        path.rename(aside)
    elif path.exists():
        path.unlink()
    _WAYS[way](path)
    return Trial(
        f'{name}: {way}',
        json_files.reader(rng, READERS[name]),
        names_outside=True,
        asks_for_much=way == 'a hole',
        fetches=name == 'cifar-10-python.tar.gz',  # which is not there, then
    )


def _socket(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as ours:
        before = pathlib.Path.cwd()
        os.chdir(path.parent)  # a socket's path is short
        ours.bind(path.name)
        os.chdir(before)


def _hole(path: pathlib.Path) -> None:
    """A file of many gigabytes that takes no room."""
    with open(path, 'wb') as file:
        file.truncate(50 * 2**30)


def _loop(path: pathlib.Path) -> None:
    other = path.with_name('other')
    path.symlink_to('other')
    if not other.exists():
        other.symlink_to(path.name)


def _itself(path: pathlib.Path) -> None:
    path.mkdir()
    (path / 'inside').symlink_to('..')
    (path / 'again').symlink_to('.')


def _deep(path: pathlib.Path) -> None:
    path.mkdir()
    (path / '/'.join(['d'] * 300)).mkdir(parents=True)


def _odd_names(path: pathlib.Path) -> None:
    path.mkdir()
    for name in (
        b'\xff\xfe.png',
        b'a\nb.png',
        b'\x1b[31m.jpg',
        'ねこ.png'.encode(),
        b'-x.png',
        b' .png',
    ):
        with open(os.path.join(os.fsencode(path), name), 'wb') as file:
            file.write(b'\x89PNG')
        os.mkdir(os.path.join(os.fsencode(path), name.replace(b'.', b'')))


def _many(path: pathlib.Path) -> None:
    path.mkdir()
    for number in range(2000):
        (path / f'{number}.png').touch()


def _copied(path: pathlib.Path) -> None:
    other = pathlib.Path('models/run/best.npz')
    shutil.copy2(other if other.exists() else 'flags.txt', path)


_WAYS: dict[str, Callable[[pathlib.Path], object]] = {
    'gone': lambda path: None,
    'empty': lambda path: path.touch(),
    'a folder': lambda path: path.mkdir(),
    'a pipe': lambda path: os.mkfifo(path),
    'a socket': _socket,
    'a hole': _hole,
    'a link to nothing': lambda path: path.symlink_to('nowhere'),
    'a link to itself': lambda path: path.symlink_to(path.name),
    'a link in a circle': _loop,
    'a link to zeros': lambda path: path.symlink_to('/dev/zero'),
    'a link to nothing at all': lambda path: path.symlink_to('/dev/null'),
    'a link to a terminal': lambda path: path.symlink_to('/dev/tty'),
    'a link to memory': lambda path: path.symlink_to('/proc/self/mem'),
    'a link outside': lambda path: path.symlink_to(pathlib.Path('../outside/secret').resolve()),
    'a link to a folder': lambda path: path.symlink_to(pathlib.Path('pictures').resolve()),
    'a folder in itself': _itself,
    'deep folders': _deep,
    'odd names': _odd_names,
    'many files': _many,
    'another file': _copied,
}
