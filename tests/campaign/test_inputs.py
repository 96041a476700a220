"""Odd inputs: what watches their readers notices, and what is not changed is read."""

import concurrent.futures
import contextlib
import ctypes
import multiprocessing
import os
import pathlib
import pickle
import random
import shutil
import socket
import subprocess
import tarfile

import h5py
import pytest

from campaign import sandbox
from campaign.inputs import csv_files, json_files, npz_files, pickle_files, world
from campaign.inputs.part import FORMATS, Inputs
from campaign.part import Broke, Impossible
from campaign.sandbox import Trial, hold
from chainer_cifar.errors import UserError


@pytest.fixture
def small(tmp_path):
    """A world of one file, and a function that runs a function in it."""
    (tmp_path / 'world').mkdir()
    (tmp_path / 'world' / 'input').write_text('1')

    def run(function, **options):
        folder = tmp_path / f'case{len(list(tmp_path.iterdir()))}'
        folder.mkdir()
        sandbox.FUNCTIONS['odd'] = function
        try:
            trial = Trial('a change', ('odd',), **options)
            hold(lambda rng: trial, random.Random(0), tmp_path / 'world', folder)
        finally:
            del sandbox.FUNCTIONS['odd']

    return run


def unpickle():
    class Evil:
        def __reduce__(self):
            return os.getcwd, ()

    pickle.loads(pickle.dumps(Evil()))


def follow_a_link():
    with h5py.File('x.h5', 'w', driver='core', backing_store=False) as file:
        file['x'] = h5py.ExternalLink(os.path.abspath('../outside/secret'), '/x')
        with contextlib.suppress(OSError, KeyError):
            file['x']


def fail(text):
    def function():
        raise UserError(text)

    return function


@pytest.mark.parametrize(
    ('function', 'reason'),
    [
        (lambda: os.system('true'), 'os.system'),
        (lambda: os.system('touch ../outside/ran'), 'outside of its folder there is'),
        (lambda: subprocess.run(['true']), 'starts'),
        (lambda: pathlib.Path('../outside/secret').read_text(), 'reads .*outside/secret'),
        (lambda: pathlib.Path('../outside/new').touch(), "there is .*'new'"),
        (lambda: pathlib.Path('../outside/folder/new').touch(), 'outside of its folder'),
        (lambda: pathlib.Path('../outside/secret').write_text(''), 'changed outside/secret'),
        (lambda: open(os.path.expanduser('~/../canary'), 'a').close(), 'writes'),
        (lambda: eval('"canary"'), 'runs'),
        (lambda: socket.socket().bind(('127.0.0.1', 0)), 'socket.bind'),
        (lambda: ctypes.CDLL('./input'), 'loads|Traceback'),
        (unpickle, 'pickle.find_class'),
        (follow_a_link, 'read outside/secret'),
        (lambda: pathlib.Path('input').write_text('2'), 'input is not what it was'),
        (lambda: pathlib.Path('.x.tmp').touch(), 'left .x.tmp'),
        (lambda: print('\x1b[31m'), 'control characters in its output'),
        (fail('two\nlines\x1b'), None),  # `tell` escapes them
        (lambda: {}['x'], 'Traceback: KeyError'),
        (lambda: os._exit(3), 'exit status 3'),
        (lambda: len(bytes(5 << 30)), 'MemoryError'),
        (fail('out of memory'), 'asks for more memory'),
        (lambda: os.kill(os.getpid(), 9), 'exit status -9'),
    ],
)  # fmt: skip
def test_the_watch_notices(small, tmp_path, function, reason):
    if reason is None:
        small(function, kept=('input',))
        return
    if function is follow_a_link and not sandbox.notices_reading(tmp_path):
        pytest.skip('the disk keeps no time of reading')
    with pytest.raises(Broke, match=reason):
        small(function, kept=('input',))


def test_the_watch_lets_pass_what_is_right(small):
    small(lambda: pathlib.Path('input').read_text(), kept=('input',))
    small(lambda: pathlib.Path('output').write_text(tarfile.__doc__))
    small(fail('a reason'))
    small(lambda: pathlib.Path('../outside/secret').read_text(), names_outside=True)
    small(fail('out of memory'), asks_for_much=True)


@pytest.fixture(scope='module')
def fresh():
    """A process that has not computed: a fork of this one, which may have, could hang."""
    context = multiprocessing.get_context('spawn')
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        yield pool


@pytest.fixture(scope='module')
def whole(fresh, tmp_path_factory):
    """The world, shared with test_machines.py."""
    folder = tmp_path_factory.getbasetemp() / 'world'
    fresh.submit(world.obtain, folder).result()
    return world.obtain(folder)  # imports what its commands need


READERS = {**json_files.READERS, **npz_files.READERS, **pickle_files.READERS, **csv_files.READERS}
FIRST = {lines[0] for lines in READERS.values()} - {('torch',)} - {json_files.FIT}


@pytest.mark.parametrize('argv', sorted(FIRST), ids=' '.join)
def test_what_is_not_changed_is_read(fresh, whole, tmp_path, argv):
    """Or all would be refused, whatever is done to it."""
    (tmp_path / 'case').mkdir()
    done = fresh.submit(hold_unchanged, argv, whole, tmp_path / 'case').result()
    assert done.status == 0, done.err


def hold_unchanged(argv, world, folder):
    return hold(lambda rng: Trial('nothing', argv), random.Random(0), world, folder)


@pytest.mark.parametrize('number', range(len(FORMATS)), ids=FORMATS)
def test_the_first_case_of_each_format_holds(fresh, whole, tmp_path, number):
    assert whole == tmp_path.parent / 'world' / 'world'  # where the part looks for it
    try:
        fresh.submit(run_case, tmp_path, number).result()
    except Impossible as missing:
        pytest.skip(str(missing))


def run_case(workshop, number):
    part = Inputs(workshop)
    folder = workshop / 'case'
    folder.mkdir()
    part.run(part.case(1, number), folder)


@pytest.mark.parametrize('kind', FORMATS)
def test_changes_are_a_function_of_the_draw(whole, tmp_path, monkeypatch, kind):
    make, _, _ = FORMATS[kind]
    found = []
    for _ in range(2):
        sandbox.copy(whole, tmp_path / 'home')
        monkeypatch.chdir(tmp_path / 'home')
        trial = make(random.Random(f'5{kind}'))
        found.append((trial, contents(tmp_path / 'home', whole)))
        shutil.rmtree(tmp_path / 'home')
    assert found[0] == found[1]


def contents(folder, world):
    """What is in the files that are not those of the world."""
    inside = {path.stat().st_ino for path in world.rglob('*')}
    files = [path for path in folder.rglob('*') if path.is_file() and not path.is_symlink()]
    return {path: path.read_bytes() for path in files if path.stat().st_ino not in inside}


def test_all_formats_have_their_share(tmp_path):
    part = Inputs(tmp_path)
    kinds = [part.case(1, number).kind for number in range(400)]
    assert set(kinds[: len(FORMATS)]) == set(FORMATS)
    assert min(map(kinds.count, FORMATS)) > 8
