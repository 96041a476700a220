"""The part of the campaign that runs commands on odd machines."""

import contextlib
import fcntl
import os
import pathlib
import pty
import random
import runpy
import shutil
import struct
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from campaign import commands, sandbox
from campaign.commands import SRC, Done, Started
from campaign.inputs import world
from campaign.machines.surroundings import GROUPS, SURROUNDINGS, Surrounding
from campaign.part import Broke, Part, require

_TRAIN = (*world.TRAIN[:-2], '--iter', '1', '-d', 'dataset/image_raw.pkl', '-p', 'new')

COMMANDS: tuple[tuple[str, ...], ...] = (
    _TRAIN,
    ('summary', 'run'),
    ('predict', 'run', 'pictures', '--gallery', 'new/gallery.png'),
    ('evaluate', 'run', '--limit', '4'),
    ('dataset', 'pictures', '--size', '8', '--out', 'new'),
    ('dataset', '--dir', '.', '--only', 'raw,mean', '--out', 'new'),
    ('compare', 'run', 'own', 'several'),
    ('report', 'run', 'folded'),
    ('visualize', 'run', '--only', 'filters,batch'),
    ('download', '--dir', 'new', '--md5', 'skip', '--url', 'file:cifar-10-python.tar.gz'),
    ('train', '--list_models'),
    *([('predict', 'model.onnx', 'pictures')] if world.ONNX else []),
)
_LOG = pathlib.Path('results', 'new', 'log.csv')
_OLD_PROCESSOR = 'old processor'


def _told(kind: str) -> str:
    names = list(GROUPS[kind])
    return f'{len(names)} odd {kind}, such as {", ".join(names[:4])}'


class Machines(Part):
    """A case is a command and one to three things around it that are odd."""

    name = 'machines'
    kinds: ClassVar = {name: _told(name) for name in GROUPS}
    share = 2.0
    in_tests = 0  # test_machines.py has some of its own

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        kind = self.kind_of(number)
        first = rng.choice(list(GROUPS[kind]))
        others = rng.sample(list(SURROUNDINGS), rng.choice([0, 0, 1, 2]))
        return kind, {
            'around': list(dict.fromkeys([first, *others])),
            'command': rng.randrange(len(COMMANDS)),
        }

    def run(self, case: Any, folder: pathlib.Path) -> None:
        hold(COMMANDS[case.facts['command']], case.facts['around'], self._world(), folder)

    def _world(self) -> pathlib.Path:
        return world.obtain(self.workshop.parent / 'world')


def hold(
    argv: Sequence[str], around: Sequence[str], source: pathlib.Path, folder: pathlib.Path
) -> Done:
    """Run a command in a copy of a world, with those of `SURROUNDINGS` that `around` names.

    Returns:
        How it ended.

    Raises:
        Broke: It did not end as it should.
    """
    odd = [SURROUNDINGS[name] for name in around]
    home = folder / os.fsdecode(next((s.folder for s in odd if s.folder != b'home'), b'home'))
    sandbox.copy(source, home)
    url = (home / 'cifar-10-python.tar.gz').as_uri()
    name, *arguments = [url if word.startswith('file:') else word for word in argv]
    try:
        done = _run(name, arguments, odd, home)
        _judge(done, odd)
        if argv == _TRAIN and done.status == 0:
            _check_training(done, around, odd, home, source)
    except Broke as error:
        raise Broke(f'{" ".join(argv[:3])}, {", ".join(around)}: {error}') from None
    left = [path.name for path in home.rglob('*.tmp')]
    require(not left, f'{" ".join(argv[:3])}, {", ".join(around)}: left {left}')
    return done


def _run(
    name: str, arguments: Sequence[str], odd: Sequence[Surrounding], home: pathlib.Path
) -> Done:
    variables = dict(commands.environment())
    for surrounding in odd:
        for variable, value in surrounding.variables.items():
            variables.pop(variable, None)
            if value is not None:
                variables[variable] = value
    flags = [flag for surrounding in odd for flag in surrounding.flags]
    forked = any(surrounding.forked for surrounding in odd)

    def start() -> None:
        for surrounding in sorted(odd, key=lambda each: each.last):
            surrounding.before()
        if forked:
            _forget_closed_streams()
            os.environ.clear()
            os.environ.update(variables)
            sys.argv = [f'{name}.py', *arguments]
            runpy.run_path(str(SRC / f'{name}.py'), run_name='__main__')
        code = f'import sys; sys.path.insert(0, {str(SRC)!r}); sys.argv[0] = {name!r} + ".py"; '
        code += 'from chainer_cifar_command import script; script(sys.argv[0][:-3])'
        command = [sys.executable, *flags, str(SRC / f'{name}.py'), *arguments]
        if '-I' in flags:  # it leaves out the folder of the script
            command = [sys.executable, *flags, '-c', code, *arguments]
        os.execve(sys.executable, command, variables)

    columns = max(surrounding.terminal for surrounding in odd)
    if not columns:
        return Started(name, start, home).finish()
    return _on_a_terminal(lambda terminal: Started(name, start, home, terminal), columns)


def _forget_closed_streams() -> None:
    """Do what Python does at its start."""
    for number, name in enumerate(('stdin', 'stdout', 'stderr')):
        try:
            os.fstat(number)
        except OSError:
            setattr(sys, name, None)


def _on_a_terminal(begin: Callable[[int], Started], columns: int) -> Done:
    """Let a command begin on a terminal of so many columns, and read what it writes there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    seen: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # nobody has the terminal open any more
            while data := os.read(ours, 1 << 16):
                seen.append(data)

    with begin(theirs) as started:  # forks do not take a thread with them, so it comes after
        reader = threading.Thread(target=read)
        reader.start()
        try:
            done = started.finish()
        finally:
            os.close(theirs)
            reader.join()
            os.close(ours)
    text = b''.join(seen).decode(errors='replace').replace('\r\n', '\n')
    return Done(done.name, done.status, '', text)


def _judge(done: Done, odd: Sequence[Surrounding]) -> None:
    may_fail = any(surrounding.may_fail for surrounding in odd)
    if any(surrounding.chatty for surrounding in odd):
        require('Traceback' not in done.err, f'a traceback: {done.err.strip()[-300:]}')
        done = Done(done.name, done.status, done.out, '')
    if done.status == 2 and may_fail and not done.err:
        return  # nobody could read it
    told = Done(done.name, done.status, done.out, done.err.rpartition('\r')[2])
    told.require_told([0, 2] if may_fail else [0])


def _check_training(
    done: Done,
    around: Sequence[str],
    odd: Sequence[Surrounding],
    home: pathlib.Path,
    source: pathlib.Path,
) -> None:
    log = home / _LOG
    require(log.exists(), 'it ended well without a log')
    if all(surrounding.same for surrounding in odd):
        require(log.read_bytes() == _usual_log(source), 'another log than on a usual machine')
    visible = not any('output' in name or 'streams' in name for name in around)
    if _OLD_PROCESSOR in around and visible:
        require('AVX2' in done.out + done.err, 'the engine does not say that it stands aside')


def _usual_log(source: pathlib.Path) -> bytes:
    """The log of the training on a usual machine, made once."""
    path = source.with_name('usual-log.csv')
    if not path.exists():
        home = source.with_name('usual')
        sandbox.copy(source, home)
        done = commands.run(*_TRAIN, cwd=home)
        done.require_told([0])
        path.write_bytes((home / _LOG).read_bytes())
        shutil.rmtree(home)
    return path.read_bytes()
