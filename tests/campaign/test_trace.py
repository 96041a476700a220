"""What a power cut may leave: of careful writers all or nothing, of careless ones anything."""

import os
import pathlib
import random

import pytest

from campaign import commands, trace
from campaign.part import Broke
from campaign.power import Power
from chainer_cifar.files import atomic_write, make_folder, move_folder, temporary_folder

OLD, NEW = b'old and long', b'new'


def careful():
    make_folder('out')
    for content in (OLD, NEW):
        with atomic_write('out/file') as file:
            file.write(content)


def without_flushing_the_file():
    make_folder('out')
    for content in (OLD, NEW):
        pathlib.Path('out/temporary').write_bytes(content)
        os.replace('out/temporary', 'out/file')


def without_flushing_the_folder():
    os.mkdir('out')
    with open('out/file', 'wb') as file:
        file.write(OLD)
        file.flush()
        os.fsync(file.fileno())


def one_large_and_one_small():
    make_folder('out')
    for number in range(9):
        with atomic_write(f'out/picture-{number}') as file:
            file.write(NEW)
    with atomic_write('out/file') as file:
        file.write(NEW)


def in_a_folder():
    for content in (OLD, NEW):
        with temporary_folder('out', 'images') as folder:
            (folder / 'file').write_bytes(content)
            move_folder(folder, pathlib.Path('out/images'))


def recorded(tmp_path, writer):
    (tmp_path / 'work').mkdir()

    def record():
        trace.Recorder(tmp_path / 'trace').start()
        writer()

    assert commands.in_fork(record, 'writer', tmp_path / 'work').status == 0
    return trace.read(tmp_path / 'trace')


def left(tmp_path, writer, name='file'):
    """All that cuts leave of a file, at the end of the trace and anywhere; None: no such file."""
    found = recorded(tmp_path, writer)
    at_end, anywhere = set(), set()
    for moment in range(len(found.moments)):
        for seed in range(20):
            folder = tmp_path / f'{moment}-{seed}'
            folder.mkdir()
            trace.Cut(found, moment, random.Random(seed)).write(folder)
            path = folder / 'out' / name
            anywhere.add(path.read_bytes() if path.exists() else None)
            if moment == len(found.moments) - 1:
                at_end.add(path.read_bytes() if path.exists() else None)
    return at_end, anywhere


def test_a_careful_writer_loses_nothing(tmp_path):
    assert left(tmp_path, careful) == ({NEW}, {None, OLD, NEW})


def test_a_folder_is_moved_whole(tmp_path):
    assert left(tmp_path, in_a_folder, 'images/file') == ({NEW}, {None, OLD, NEW})


def test_each_kind_of_file_is_chosen(tmp_path):
    found = recorded(tmp_path, one_large_and_one_small)
    chosen = [found.moments[found.choose(n / 12, place)] for n in range(12) for place in (0, 0.99)]
    kinds = [moment.kind for moment in chosen]
    assert kinds.count('out/picture-#') == kinds.count('out/file') > 4


@pytest.mark.parametrize(
    ('writer', 'lost'),
    [(without_flushing_the_file, {b'', NEW[:1]}), (without_flushing_the_folder, {None})],
)
def test_careless_writers_lose(tmp_path, writer, lost):
    at_end, _ = left(tmp_path, writer)
    assert lost <= at_end


def test_a_recording_that_fails_does_not_fail_the_next(tmp_path, monkeypatch):
    def begin(*words, **options):
        raise Broke('took too long')

    monkeypatch.setattr(commands, 'start_forked', begin)
    (tmp_path / 'power').mkdir()
    part = Power(tmp_path / 'power')
    monkeypatch.setattr(part.truths, 'prepare', lambda job, folder: None)
    for _ in range(2):
        with pytest.raises(Broke, match='took too long'):
            part._trace('dataset', ())
