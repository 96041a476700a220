"""Run a command in a process of its own that is watched: what it opens, starts and leaves.

The process is forked, since the imports of a command take seconds and most commands a tenth of
one. It has limits of memory and time. Its working directory is a copy of a small world; beside that
lies a folder that the command has no business in.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import re
import resource
import select
import shutil
import signal
import stat
import sys
import time
import traceback
import unicodedata
from collections.abc import Callable, Sequence

MEMORY = 4 * 2**30  # bytes
SECONDS = 60.0
MARK = 'canary'  # in all code that an input tries to have run

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# Events of Python's audit that nothing which reads an input has a reason for.
_NEVER = (
    *('os.system', 'os.exec', 'os.posix_spawn', 'os.spawn', 'os.startfile', 'pty.spawn'),
    *('pickle.find_class', 'socket.connect', 'socket.bind', 'socket.getaddrinfo'),
    *('shutil.unpack_archive', 'ensurepip.bootstrap', 'ftplib.connect', 'webbrowser.open'),
)
_PROGRAMS = ('git',)  # environment.py asks it for the commit of a run

# Where a command may read besides its working directory.
_SYSTEM = ('/dev/null', '/dev/urandom', '/proc', '/sys', '/etc', '/usr', '/lib', '/opt', '/var/lib')


@dataclasses.dataclass(frozen=True)
class Case:
    """What is run, and what of it is no fault.

    Attributes:
        kind: What was done to which input, in a few words.
        argv: The command and its arguments; or of one word, a function of `FUNCTIONS`.
        kept: Inputs that must be the same afterwards, as paths in the working directory.
        names_outside: The user named a file elsewhere, so that reading it is right.
        may_ask_for_much: The user asked for more memory than there is, so that the answer is right.
        network: The command is asked to fetch something.
    """

    kind: str
    argv: tuple[str, ...]
    kept: tuple[str, ...] = ()
    names_outside: bool = False
    may_ask_for_much: bool = False
    network: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How it ended.

    Attributes:
        case: What was run; None if that could not be made.
        status: The exit status; negative for a signal.
        out, err: What it printed.
        seconds: How long it took.
        memory: Bytes that it held at most.
        problems: What is wrong; nothing if it held.
    """

    case: Case | None
    status: int
    out: str
    err: str
    seconds: float
    memory: int
    problems: tuple[str, ...]


# What is no command; they get the working directory.
FUNCTIONS: dict[str, Callable[[], None]] = {}


def run(
    make: Callable[[random.Random], Case], rng: random.Random, world: pathlib.Path, work: pathlib.Path
) -> Outcome:
    """Make a case in a copy of `world` and run it.

    Args:
        make: Changes the working directory and says what to run in it.
        rng: What `make` chooses by.
        world: The folder to copy.
        work: Where to put the copy and what is written down; of this call alone.
    """
    home, outside, notes = work / 'home', work / 'outside', work / 'notes'
    for folder in (home, outside, notes):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world, home, symlinks=True, copy_function=os.link)
    notes.mkdir()
    _lay_out(outside)
    before = time.monotonic()
    child = os.fork()
    if not child:
        _in_child(make, rng, home, outside, notes)
    status, usage, late = _wait(child)
    seconds = time.monotonic() - before
    out, err = (_text(notes / name) for name in ('out', 'err'))
    about = _about(notes)
    case = Case(**{**about['case'], **_tuples(about['case'])}) if 'case' in about else None
    problems = [f'took more than {SECONDS:.0f} s'] if late else []
    if case is None:
        problems.append('the case could not be made')
    else:
        problems += _judge(case, status, out, err)
        problems += _text(notes / 'audit').splitlines()[:3]
        problems += _changes(home, about['before'], case)
        problems += _touched(outside, case)
    memory = usage * 1024
    if memory > MEMORY:
        problems.append(f'held {memory / 1e9:.1f} GB')
    return Outcome(case, status, out, err, seconds, memory, tuple(problems))


def _tuples(fields: dict) -> dict:
    return {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}


def _about(notes: pathlib.Path) -> dict:
    try:
        return json.loads(_text(notes / 'about.json'))
    except ValueError:
        return {}


def _text(path: pathlib.Path) -> str:
    return path.read_bytes().decode('utf-8', 'surrogateescape') if path.exists() else ''


def _lay_out(outside: pathlib.Path) -> None:
    """Put files there of which one can see that they were read: the time of that is long ago."""
    outside.mkdir()
    (outside / 'secret').write_bytes(b'SECRET-OF-THIS-MACHINE ' * 4000)
    (outside / 'secret.json').write_text('["SECRET-OF-THIS-MACHINE"]')
    (outside / 'folder').mkdir()
    for path in outside.iterdir():
        os.utime(path, (0, time.time()))


def _touched(outside: pathlib.Path, case: Case) -> list[str]:
    found = []
    names = sorted(path.name for path in outside.iterdir())
    if names != ['folder', 'secret', 'secret.json'] or any((outside / 'folder').iterdir()):
        found.append(f'outside of its folder there is {names}')
    for name in ('secret', 'secret.json'):
        path = outside / name
        if path.exists():
            status = path.stat()
            if status.st_atime and not case.names_outside:
                found.append(f'read outside/{name}')
            if not path.read_bytes().count(b'SECRET-OF-THIS-MACHINE'):
                found.append(f'changed outside/{name}')
    return found


def notices_reading(folder: pathlib.Path) -> bool:
    """Say whether the file system of a folder keeps the time of the last reading."""
    path = folder / 'read-me'
    path.write_text('x')
    os.utime(path, (0, time.time()))
    path.read_text()
    seen = path.stat().st_atime > 0
    path.unlink()
    return seen


def put(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file of the working directory; the world shares its files with that by links."""
    path = pathlib.Path(path)
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def identities(folder: pathlib.Path) -> dict[str, list[int]]:
    """Number, size and time of each thing below a folder, by its path there."""
    found = {}
    for path in folder.rglob('*'):
        status = path.lstat()
        name = os.fsencode(path.relative_to(folder)).decode('latin-1')
        is_file = stat.S_ISREG(status.st_mode)
        found[name] = [status.st_ino, status.st_size, status.st_mtime_ns] if is_file else []
    return found


def _changes(home: pathlib.Path, before: dict[str, list[int]], case: Case) -> list[str]:
    after = identities(home)
    found = []
    for name, identity in before.items():
        if name in case.kept and after.get(name) != identity:
            found.append(f'{name} is not what it was')
        elif name not in after and name.startswith(('dataset/', 'pictures/')):
            found.append(f'{name} is gone')
    found += [f'left {name}' for name in after if name.endswith('.tmp') and name not in before]
    return found


def _judge(case: Case, status: int, out: str, err: str) -> list[str]:
    """Hold what was printed against the promise: status 0, or 2 and one line."""
    found = []
    if status not in (0, 2):
        found.append(f'ended with {status}')
    if 'Traceback' in err:
        found.append(f'a traceback: {err.strip().splitlines()[-1][:200]}')
    lines = err.split('\n')
    if lines.pop():
        found.append('the last line has no end')
    errors = [line for line in lines if not line.lower().startswith('warning: ')]
    if status == 2:
        begin = re.escape(case.argv[0]) + r'(\.py)?: error: '
        if len(errors) != 1 or not re.match(begin, errors[0]):
            found.append(f'{len(errors)} lines: {" / ".join(errors)[:300]}')
    elif any(': error: ' in line for line in errors):
        found.append(f'an error, but the status is {status}')
    for where, text in (('output', out), ('messages', err)):
        odd = {c for c in text if c not in '\n\t' and unicodedata.category(c) in ('Cc', 'Zl', 'Zp')}
        if odd:
            found.append(f'control characters in its {where}: {sorted(odd)}')
    if 'out of memory' in err and not case.may_ask_for_much:
        found.append('more memory than the limit')
    return found


def _wait(child: int) -> tuple[int, int, bool]:
    """Wait for a process and end its group; its status, its memory in KiB, and was it too late."""
    handle = os.pidfd_open(child)
    ready, _, _ = select.select([handle], [], [], SECONDS)
    os.close(handle)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss, not ready


def _in_child(
    make: Callable[[random.Random], Case],
    rng: random.Random,
    home: pathlib.Path,
    outside: pathlib.Path,
    notes: pathlib.Path,
) -> None:
    """Make and run the case; this never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        os.chdir(home)
        temporary = notes / 'tmp'
        temporary.mkdir()
        os.environ['TMPDIR'] = str(temporary)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _redirect(notes)
        case = make(rng)
        about = {'case': dataclasses.asdict(case), 'before': identities(home)}
        (notes / 'about.json').write_text(json.dumps(about), encoding='utf-8')
        for name in ('secret', 'secret.json'):  # making the case may have read them
            os.utime(outside / name, (0, time.time()))
        _watch(case, home, notes)
        status = _run(case.argv)
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(status if isinstance(status, int) else 1)


def _redirect(notes: pathlib.Path) -> None:
    for number, name in ((1, 'out'), (2, 'err')):
        handle = os.open(notes / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(handle, number)
        os.close(handle)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, 'w', encoding='utf-8', closefd=False)
    sys.stderr = open(2, 'w', encoding='utf-8', errors='backslashreplace', closefd=False)


def _run(argv: Sequence[str]) -> int:
    """Run a command as a script does."""
    from chainer_cifar import cli, streams

    streams.prepare()
    name, *arguments = argv
    sys.argv = [f'{name}.py', *arguments]
    if name in FUNCTIONS:
        return _call(name)
    try:
        return cli.run(name, arguments, f'{name}.py')
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _call(name: str) -> int:
    from chainer_cifar.errors import UserError
    from chainer_cifar.streams import tell

    try:
        FUNCTIONS[name]()
    except UserError as error:
        tell(f'{name}: error: {error}')
        return 2
    return 0


def _watch(case: Case, home: pathlib.Path, notes: pathlib.Path) -> None:
    """Note each event that an input has no reason to cause; it goes on all the same."""
    here = (str(home), str(notes))
    python = tuple({sys.prefix, sys.base_prefix, str(pathlib.Path(__file__).parents[2])})
    caches = tuple(
        os.path.abspath(os.path.expanduser(path))
        for path in (os.environ.get('MPLCONFIGDIR', '~/.config'), '~/.cache', '~/.matplotlib')
    )
    fonts = ('/root/.fonts', '/usr/share/fonts', os.path.expanduser('~'))
    handle = os.open(notes / 'audit', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    busy = False

    def note(text: str) -> None:
        os.write(handle, ascii(text).encode()[:300] + b'\n')

    def hook(event: str, arguments: tuple) -> None:
        nonlocal busy
        if busy:
            return
        if event == 'open':
            path, mode, flags = arguments
            if not isinstance(path, (str, bytes)):
                return
            busy = True
            try:
                real = os.path.realpath(os.path.abspath(os.fsdecode(path)))
                writes = bool(flags & _WRITING) if isinstance(flags, int) else 'w' in str(mode)
                if writes and not _below(real, (*here, *caches, '/dev/null')):
                    note(f'opened {real} for writing')
                elif not writes and not case.names_outside:
                    if not _below(real, (*here, *python, *caches, *fonts, *_SYSTEM)):
                        note(f'opened {real}')
            finally:
                busy = False
        elif event == 'subprocess.Popen':
            if os.path.basename(os.fsdecode(arguments[0] or arguments[1][0])) not in _PROGRAMS:
                note(f'started {arguments[:2]}')
        elif event in _NEVER:
            if not (case.network and event.startswith('socket.')):
                note(f'{event} {arguments}')
        elif event == 'compile':
            source = arguments[0]
            if isinstance(source, (str, bytes)) and MARK in str(source):
                note(f'compiled {source!r}')
        elif event == 'exec':
            code = arguments[0]
            if MARK in str(getattr(code, 'co_names', '')) + str(getattr(code, 'co_consts', '')):
                if not str(getattr(code, 'co_filename', '')).startswith(python):
                    note(f'ran {code!r}')
        elif event == 'ctypes.dlopen' and arguments[0]:
            if _below(os.path.abspath(os.fsdecode(arguments[0])), here):
                note(f'loaded {arguments[0]}')

    sys.addaudithook(hook)


def _below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(f'{folder}/') for folder in folders)
