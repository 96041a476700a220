"""Run a command on an odd input in a copy of a small world, and watch what it opens and starts.

The copy shares its files with the world by links, so whoever changes one writes a new file (`put`).
Beside it lies a folder that the command has no business in.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import stat
import sys
import tempfile
import unicodedata
import warnings
from collections.abc import Callable

from campaign import commands, watch
from campaign.part import Broke, require

SECRET = b'SECRET-OF-THIS-MACHINE '
OUTSIDE = ('folder', 'secret', 'secret.json')


@dataclasses.dataclass(frozen=True)
class Trial:
    """What is run, and what of it is no fault.

    Attributes:
        change: What was done to which input, in a few words.
        argv: The command and its arguments; or one word, a function of `FUNCTIONS`.
        kept: Inputs that must be the same afterwards, as paths in the working directory.
        names_outside: The user named a file elsewhere, so that reading it is right.
        asks_for_much: The user asked for more memory than there is, so that saying so is right.
        fetches: The command is asked to fetch something.
    """

    change: str
    argv: tuple[str, ...]
    kept: tuple[str, ...] = ()
    names_outside: bool = False
    asks_for_much: bool = False
    fetches: bool = False


Make = Callable[[random.Random], Trial]

# Readers that no command gets to by itself; they find their input in the working directory.
FUNCTIONS: dict[str, Callable[[], object]] = {}


def put(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file of the working directory anew."""
    path = pathlib.Path(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def hold(
    make: Make, rng: random.Random, world: pathlib.Path, folder: pathlib.Path
) -> commands.Done:
    """Make a trial in a copy of `world` and run it.

    Args:
        make: Changes something in the working directory and says what to run there.
        rng: What `make` chooses by.
        world: The folder to copy.
        folder: An empty folder on the same disk.

    Returns:
        How the command ended.

    Raises:
        Broke: The command did what it must not, or did not end as it must.
    """
    home, outside, notes = folder / 'home', folder / 'outside', folder / 'notes'
    copy(world, home)
    (notes / 'tmp').mkdir(parents=True)
    _lay_out(outside)
    done = commands.in_fork(lambda: _in_child(make, rng, outside, notes), 'a trial', home)
    about = notes / 'about.json'
    require(about.exists(), f'the trial could not be made: {done.err[-400:]}')
    told = json.loads(about.read_text(encoding='utf-8'))
    trial = Trial(
        **{name: tuple(v) if isinstance(v, list) else v for name, v in told['trial'].items()}
    )
    done = dataclasses.replace(done, name=trial.argv[0])
    problems = [
        *_told(trial, done),
        *watch.read(notes / 'events'),
        *_changed(home, told['before'], trial),
        *_touched(outside, trial),
    ]
    if problems:
        raise Broke(f'{trial.change}; {" ".join(map(ascii, trial.argv))}: {"; ".join(problems)}')
    return done


def copy(world: pathlib.Path, folder: pathlib.Path) -> None:
    """Make `folder` a copy of the world that shares its files."""
    shutil.copytree(world, folder, symlinks=True, copy_function=os.link)


def _in_child(make: Make, rng: random.Random, outside: pathlib.Path, notes: pathlib.Path) -> int:
    os.environ.update(commands.environment(TMPDIR=str(notes / 'tmp')))
    tempfile.tempdir = None
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # zipfile's, about what is wanted here
        trial = make(rng)
    os.ftruncate(2, os.lseek(2, 0, os.SEEK_SET))  # what C libraries said of it
    home = pathlib.Path.cwd()
    told = {'trial': dataclasses.asdict(trial), 'before': _identities(home)}
    (notes / 'about.json').write_text(json.dumps(told), encoding='utf-8')
    for name in OUTSIDE:  # making the trial may have read them
        os.utime(outside / name, (0, 1))
    watch.begin(
        notes / 'events',
        folders=(home, notes / 'tmp'),
        anywhere=trial.names_outside,
        network=trial.fetches,
    )
    return _run(trial.argv)


def _run(argv: tuple[str, ...]) -> int:
    """Run a command as a script does."""
    from chainer_cifar import cli, streams
    from chainer_cifar.errors import UserError

    name, *arguments = argv
    sys.argv = [f'{name}.py', *arguments]
    if name not in FUNCTIONS:
        cli.script(name)
    streams.prepare()
    try:
        FUNCTIONS[name]()
    except UserError as error:
        streams.tell(f'{name}: error: {error}')
        return 2
    return 0


def _told(trial: Trial, done: commands.Done) -> list[str]:
    """Hold what was printed against the promise: status 0, or 2 and one line."""
    try:
        done.require_told()
    except Broke as error:
        return [str(error)]
    found = []
    lines = done.err.split('\n')
    if lines.pop():
        found.append('the last line has no end')
    errors = [line for line in lines if not line.lower().startswith('warning: ')]
    if done.status == 2 and len(errors) != 1:
        found.append(f'{len(errors)} lines: {" / ".join(errors)[:300]}')
    if done.status == 0 and any(': error: ' in line for line in errors):
        found.append('an error, but the status is 0')
    for where, text in (('output', done.out), ('messages', done.err)):
        if odd := controls(text) - {'\n', '\t'}:
            found.append(f'control characters in its {where}: {sorted(odd)}')
    if not trial.asks_for_much and re.search('out of memory|cannot allocate', done.err, re.I):
        found.append(f'asks for more memory than the limit: {done.err.strip()[-200:]}')
    return found


def controls(text: str) -> set[str]:
    """The letters of a text that split lines, steer a terminal, or reorder what follows."""
    orders = ('LRE', 'RLE', 'LRO', 'RLO', 'PDF', 'LRI', 'RLI', 'FSI', 'PDI')
    return {
        letter
        for letter in text
        if unicodedata.category(letter) in ('Cc', 'Zl', 'Zp')
        or unicodedata.bidirectional(letter) in orders
    }


def _identities(folder: pathlib.Path) -> dict[str, list[int]]:
    """Number, size and time of each file below a folder, by its path there; of others nothing."""
    found = {}
    for path in folder.rglob('*'):
        status = path.lstat()
        is_file = stat.S_ISREG(status.st_mode)
        name = os.fsencode(path.relative_to(folder)).decode('latin-1')
        found[name] = [status.st_ino, status.st_size, status.st_mtime_ns] if is_file else []
    return found


def _changed(home: pathlib.Path, before: dict[str, list[int]], trial: Trial) -> list[str]:
    after = _identities(home)
    found = []
    for name, identity in before.items():
        if name in trial.kept and after.get(name) != identity:
            found.append(f'{name} is not what it was')
        elif name not in after and name.startswith(('dataset/', 'pictures/')):
            found.append(f'{name} is gone')
    found += [f'left {name}' for name in after if name.endswith('.tmp') and name not in before]
    return found


def _lay_out(outside: pathlib.Path) -> None:
    """Put files there of which one can see later that they were read."""
    (outside / 'folder').mkdir(parents=True)
    (outside / 'secret').write_bytes(SECRET * 4000)
    (outside / 'secret.json').write_bytes(b'["%s"]' % SECRET)


def _touched(outside: pathlib.Path, trial: Trial) -> list[str]:
    found = []
    names = tuple(sorted(path.name for path in outside.iterdir()))
    if names != OUTSIDE or any((outside / 'folder').iterdir()):
        return [f'outside of its folder there is {names}']
    for path in (outside / 'secret', outside / 'secret.json'):
        # Time of the last reading; C libraries, which Python's audit does not see, change it, too.
        if path.stat().st_atime and not trial.names_outside:
            found.append(f'read outside/{path.name}')
        if SECRET not in path.read_bytes():
            found.append(f'changed outside/{path.name}')
    return found


def notices_reading(folder: pathlib.Path) -> bool:
    """Say whether the file system of a folder keeps the time of the last reading."""
    path = folder / 'read-me'
    path.write_text('x')
    os.utime(path, (0, 1))
    path.read_text()
    seen = path.stat().st_atime > 0
    with contextlib.suppress(OSError):
        path.unlink()
    return seen
