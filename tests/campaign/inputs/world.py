"""The small world in which inputs are changed: data, runs, weights, pictures, made once."""

import contextlib
import importlib
import importlib.util
import io
import json
import pathlib
import shutil
import sys
import tarfile

import filelock
import h5py
import numpy as np

import own_pictures
from campaign import commands
from campaign.part import require
from chainer_cifar import cli
from chainer_cifar.cli import COMMANDS
from chainer_cifar.export import packages
from cifar_archive import write_cifar10

NET = ('-m', 'residual', '--res_depth', '1')
TRAIN = ('train', *NET, '-b', '6', '--cpu_engine', 'chainer')
SEARCH = (
    *('search', *TRAIN[1:], '-d', 'dataset/image_raw.pkl', '--name', 'found', '--iter', '1'),
    *('--lr', '1e-3..1e-1', '--augment', 'mirror;crop', '--seed', '1'),
)
ONNX = all(importlib.util.find_spec(name) for name in ('onnx', 'onnxruntime', 'onnx_chainer'))

# What warms a process up: the modules that commands import when they need them.
_MODULES = 'modules.json'


def obtain(folder: pathlib.Path) -> pathlib.Path:
    """Make the world below `folder` unless it is there; import what its commands need.

    A process of its own makes it, so that this one has neither threads nor state of a training.
    """
    world, note = folder / 'world', folder / _MODULES
    with filelock.FileLock(folder.with_suffix('.lock')):  # another part may be at it
        if not note.exists():
            shutil.rmtree(folder, ignore_errors=True)
            world.mkdir(parents=True)
            done = commands.in_fork(lambda: _build(note), 'the world', world)
            require(done.status == 0, f'the world could not be made: {done.err[-800:]}')
    if ONNX:
        packages.onnx_chainer()  # which makes it importable
    for name in json.loads(note.read_text()):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    return world


def _build(note: pathlib.Path) -> None:
    from chainer_cifar import streams

    streams.prepare()
    for name in COMMANDS:
        importlib.import_module(f'chainer_cifar.commands.{name}')
    steps = [
        'dataset --dir . --only raw,mean',
        'dataset pictures --size 8 --out dataset/own',
        f'{" ".join(TRAIN)} --iter 2 -d dataset/image_raw.pkl --optimizer adam -p run',
        f'{" ".join(TRAIN)} --iter 1 -d dataset/image_raw.pkl -p several --seeds 2',
        f'{" ".join(TRAIN)} --iter 1 -d dataset/image_raw.pkl -p folded --folds 2',
        f'{" ".join(TRAIN)} --iter 1 -d dataset/own/image_raw -l dataset/own/label.pkl -p own',
        'evaluate run --limit 4 --calibrate',
        'fit pictures --minutes 0.01 --init none --size 8 --name fitted',
        f'{" ".join(SEARCH)} --trials 2',
    ]
    _write_inputs()
    for step in steps:
        _do(step)
    if ONNX:
        _do('export run --onnx model.onnx')
    _write_h5()
    # Other programs' modules, which this one will need, too.
    note.write_text(json.dumps([name for name in sorted(sys.modules) if name[0] != '_']))


def _do(line: str) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        name, *argv = line.split()
        if cli.run(name, argv, f'{name}.py'):
            raise RuntimeError(f'{line}: {out.getvalue()}')


def _write_inputs() -> None:
    here = pathlib.Path()
    write_cifar10(here, per_batch=8)
    with tarfile.open('cifar-10-python.tar.gz', 'w:gz', compresslevel=1) as tar:
        tar.add('cifar-10-batches-py')
    paths = own_pictures.write(here / 'pictures', per_class=4, size=(12, 9))
    lines = [f'{path},{path.parent.name}' for path in paths]
    pathlib.Path('listing.csv').write_text('\n'.join(['path,label', *lines, '']), 'utf-8')
    pathlib.Path('labels.csv').write_text(
        'name,label\npictures/c/00.png,cat\npictures/c/01.png,3\n', 'utf-8'
    )
    pathlib.Path('flags.txt').write_text(f'{" ".join(TRAIN[1:])}\n# a comment\n--lr 0.1\n')


def _write_h5() -> None:
    """As Keras writes weights, for the net of tiny_net.py."""
    with h5py.File('w.h5', 'w') as file:
        for layer, shapes in _LAYERS.items():
            for weight, shape in shapes.items():
                file[f'{layer}/{layer}/{weight}:0'] = np.full(shape, 0.5, np.float32)


_LAYERS: dict[str, dict[str, tuple[int, ...]]] = {
    'conv1': {'kernel': (3, 3, 2, 4), 'bias': (4,)},
    'conv1_bn': dict.fromkeys(('gamma', 'beta', 'moving_mean', 'moving_variance'), (4,)),
    'dw': {'depthwise_kernel': (3, 3, 4, 1)},
    'fc1': {'kernel': (36, 5), 'bias': (5,)},
    'fc2': {'kernel': (5, 3), 'bias': (3,)},
}
