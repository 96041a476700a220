"""Odd machines: what is odd about them is so, and some commands hold on them."""

import os
import resource
import subprocess
import sys
import time

import pytest

from campaign import commands
from campaign.inputs import world
from campaign.machines import kernel
from campaign.machines.part import COMMANDS, hold
from campaign.machines.surroundings import SURROUNDINGS
from campaign.part import Broke

SUMMARY, DOWNLOAD = (
    next(argv for argv in COMMANDS if argv[0] == name) for name in ('summary', 'download')
)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """The world, shared with test_inputs.py."""
    return world.obtain(tmp_path_factory.getbasetemp() / 'world')


@pytest.mark.parametrize(
    ('argv', 'around'),
    [
        (SUMMARY, ['locale C', 'python -O']),
        (SUMMARY, ['terminal of 5 columns', 'folder of no letters']),
        (DOWNLOAD, ['closed streams', 'missing home', 'umask 077']),
        (DOWNLOAD, ['a clock that jumps', 'few open files']),
    ],
)
def test_commands_hold(whole, tmp_path, argv, around):
    assert hold(argv, around, whole, tmp_path).status == 0


def test_what_fails_is_told(whole, tmp_path):
    with pytest.raises(Broke, match='summary nowhere, python -u: summary: exit status 2, not'):
        hold(('summary', 'nowhere'), ['python -u'], whole, tmp_path)


def in_surrounding(name, function, cwd):
    def call():
        SURROUNDINGS[name].before()
        print(function())

    return commands.in_fork(call, 'odd', cwd)


@pytest.mark.parametrize(
    ('name', 'function', 'told'),
    [
        ('umask 077', lambda: os.umask(0), '63'),
        ('one core', lambda: len(os.sched_getaffinity(0)), '1'),
        ('few open files', lambda: resource.getrlimit(resource.RLIMIT_NOFILE), '(32, 32)'),
        ('closed input', lambda: os.path.exists('/proc/self/fd/0'), 'False'),
        (
            'a clock that jumps',
            lambda: max(abs(time.time() - 2e9) for _ in range(50)) > 3e8,
            'True',
        ),
    ],
)
def test_surroundings_are_as_their_names_say(tmp_path, name, function, told):
    assert in_surrounding(name, function, tmp_path).out == f'{told}\n'


@pytest.mark.skipif(not kernel.can_forbid_processes(), reason='seccomp of Linux on x86-64')
def test_no_processes_but_threads(tmp_path):
    def call():
        import threading

        kernel.forbid_processes()
        thread = threading.Thread(target=lambda: print('a thread'))
        thread.start()
        thread.join()
        os.fork()

    done = commands.in_fork(call, 'odd', tmp_path)
    assert done.out == 'a thread\n' and 'PermissionError' in done.err


def test_even_root_obeys_permissions(tmp_path):
    def call():
        kernel.obey_permissions()
        import colorsys  # of the standard library, which may be root's alone

        print(colorsys.__name__)
        subprocess.run([sys.executable, '-c', 'open("new", "w")'])
        (tmp_path / 'new').touch()

    tmp_path.chmod(0o555)
    done = commands.in_fork(call, 'odd', tmp_path)
    tmp_path.chmod(0o755)
    assert done.out == 'colorsys\n' and done.err.count('PermissionError') == 2


@pytest.mark.skipif(not kernel.can_mount(), reason='needs the right to mount')
def test_a_read_only_folder_and_a_hidden_one(tmp_path):
    (tmp_path / 'inside').mkdir()
    (tmp_path / 'inside' / 'file').touch()

    def call():
        kernel.hide(str(tmp_path / 'inside'))
        print(os.listdir(tmp_path / 'inside'))
        kernel.make_read_only(tmp_path)
        (tmp_path / 'new').touch()

    done = commands.in_fork(call, 'odd', tmp_path)
    assert done.out == '[]\n' and 'Read-only file system' in done.err
    assert [path.name for path in (tmp_path / 'inside').iterdir()] == ['file']
