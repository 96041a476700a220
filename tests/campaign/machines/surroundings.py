"""What may be odd around a command: variables, flags of Python, limits, streams, folders, time."""

import contextlib
import dataclasses
import os
import pathlib
import random
import resource
import signal
import time
from collections.abc import Callable, Mapping

from campaign.machines import kernel


def _nothing() -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Surrounding:
    """One thing that is odd.

    Attributes:
        variables: Of the environment; None takes one away.
        flags: Of Python.
        before: Called in the process before the command.
        folder: The name of the working directory.
        terminal: Its columns; 0: files instead of a terminal.
        may_fail: The command may end with status 2 because of it.
        same: The numbers of a training are the same all the same.
        chatty: Python itself writes to standard error then.
        forked: Python must not be started anew, or what `before` did is lost.
        last: What was done before others would be in their way.
    """

    variables: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    flags: tuple[str, ...] = ()
    before: Callable[[], object] = _nothing
    folder: bytes = b'home'
    terminal: int = 0
    may_fail: bool = False
    same: bool = True
    chatty: bool = False
    forked: bool = False
    last: bool = False


def _variable(may_fail: bool = False, same: bool = True, **variables: str | None) -> Surrounding:
    return Surrounding(variables, may_fail=may_fail, same=same)


def _python(*flags: str, chatty: bool = False) -> Surrounding:
    return Surrounding(flags=flags, chatty=chatty)


def _before(
    function: Callable[[], object], may_fail: bool = False, forked: bool = False
) -> Surrounding:
    return Surrounding(before=function, may_fail=may_fail, forked=forked)


def _limit(kind: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (value, value))


def _closed(*streams: int) -> Surrounding:
    def close() -> None:
        for stream in streams:
            with contextlib.suppress(OSError):  # another surrounding has closed it
                os.close(stream)

    return Surrounding(before=close, last=True)


def _onto(stream: int, path: str) -> Callable[[], None]:
    return lambda: os.dup2(os.open(path, os.O_RDWR), stream) and None


def _jump() -> None:
    """Let the time of day go forth and back, by years, whenever somebody looks."""
    draw, now = random.Random(1), time.time

    def jumping() -> float:
        return now() + draw.choice([0, 0, -3600, 3600, -4e8, 4e8])

    time.time = jumping


def _odd_matplotlibrc() -> None:
    pathlib.Path('matplotlibrc').write_text('backend: canary\nfont.size: canary\nfigure.dpi: 1\n')


def _hide_shared_memory() -> None:
    if not pathlib.Path.cwd().is_relative_to('/dev/shm'):  # where the campaign may be kept
        kernel.hide('/dev/shm')


_ASCII = {'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0'}

# By kind; in ASCII a file may have a name that cannot be written.
GROUPS: dict[str, dict[str, Surrounding]] = {
    'letters': {
        'locale C': _variable(may_fail=True, LC_ALL='C', **_ASCII),
        'locale POSIX': _variable(may_fail=True, LC_ALL='POSIX', **_ASCII),
        'locale of Turkey': _variable(LC_ALL='tr_TR.UTF-8', PYTHONUTF8='1'),
        'locale of Japan in EUC': _variable(may_fail=True, LC_ALL='ja_JP.eucJP', **_ASCII),
        'no such locale': _variable(may_fail=True, LC_ALL='xx_XX.canary', LANG='canary'),
        'streams in ASCII': _variable(PYTHONIOENCODING='ascii'),
        'streams in Latin-1': _variable(PYTHONIOENCODING='latin-1:strict'),
        'streams in cp932': _variable(PYTHONIOENCODING='cp932'),
    },
    'streams': {
        'closed input': _closed(0),
        'closed output': _closed(1),
        'closed messages': _closed(2),
        'closed streams': _closed(0, 1, 2),
        'full output': _before(_onto(1, '/dev/full'), may_fail=True),
        'full messages': _before(_onto(2, '/dev/full')),
    },
    'terminals': {
        'terminal of 60 columns': Surrounding(terminal=60),
        'terminal of 5 columns': Surrounding(terminal=5),
        'terminal of a million columns': Surrounding({'COLUMNS': '1000000'}, terminal=65535),
        'dumb terminal': Surrounding({'TERM': 'dumb', 'NO_COLOR': '1'}, terminal=80),
        'no kind of terminal': Surrounding(
            {'TERM': None, 'COLUMNS': '0', 'LINES': 'x'}, terminal=80
        ),
    },
    'folders': {
        'no home': _variable(HOME=None),
        'missing home': _variable(HOME='/nowhere/canary'),
        'read-only home': _variable(HOME='/proc', XDG_CACHE_HOME='/proc', XDG_CONFIG_HOME='/proc'),
        'missing temporary folder': _variable(TMPDIR='/nowhere/canary'),
        'umask 077': _before(lambda: os.umask(0o077)),
        'umask 000': _before(lambda: os.umask(0)),
        'folder with spaces': Surrounding(folder=b' a  b '),
        'folder with new lines': Surrounding(folder=b'a\nb\x1b[31m'),
        'folder in Japanese': Surrounding(folder='写真\u3000館'.encode()),
        'folder of no letters': Surrounding(folder=b'a\xff\xfeb'),
        'folder like flags': Surrounding(folder=b'--$(touch x)\'"%s{0}'),
        'odd matplotlibrc': _before(_odd_matplotlibrc),
    },
    'limits': {
        'few open files': _before(_limit(resource.RLIMIT_NOFILE, 32), may_fail=True),
        'little memory': _before(_limit(resource.RLIMIT_AS, 1200 << 20), may_fail=True),
        'small stack': _before(_limit(resource.RLIMIT_STACK, 1 << 20)),
        'no locked memory': _before(_limit(resource.RLIMIT_MEMLOCK, 0)),
        'one core': _before(lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})),
        'ignored signals': _before(
            lambda: [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGPIPE, signal.SIGHUP)]
        ),
    },
    'Python': {
        'python -O': _python('-O'),
        'python -OO': _python('-OO'),
        'python -I': _python('-I'),
        'python -W error': _python('-W', 'error'),
        'python -X dev': _python('-X', 'dev', chatty=True),
        'python -bb': _python('-bb'),
        'python -u': _python('-u'),
        'hash seed': _variable(PYTHONHASHSEED='4242'),
        'random hashes': _variable(PYTHONHASHSEED='random'),
        'old optimization': _variable(PYTHONOPTIMIZE='2', PYTHONDONTWRITEBYTECODE='1'),
    },
    'libraries': {
        'odd MPLBACKEND': _variable(MPLBACKEND='canary'),
        'MPLBACKEND with windows': _variable(MPLBACKEND='TkAgg', DISPLAY=':99'),
        'read-only MPLCONFIGDIR': _variable(MPLCONFIGDIR='/proc/canary'),
        'threads in levels': _variable(OMP_NUM_THREADS='1,1'),
        'odd number of threads': _variable(OMP_NUM_THREADS='canary', same=False),
        'old processor': _variable(ONEDNN_MAX_CPU_ISA='SSE41', same=False),
        'odd processor': _variable(ONEDNN_MAX_CPU_ISA='canary'),
        'no path': _variable(PATH=''),
        'odd git': _variable(GIT_DIR='/nowhere', GIT_CONFIG_GLOBAL='/nowhere', GIT_TRACE='1'),
    },
    'time': {
        'a clock that jumps': _before(_jump, forked=True),
        'odd time zone': _variable(TZ='canary/\x1b[31m'),
    },
}
if kernel.can_forbid_processes():
    GROUPS['limits']['no processes'] = _before(kernel.forbid_processes)
if kernel.can_mount():
    GROUPS['folders'] |= {
        'no /dev/shm': _before(_hide_shared_memory),
        'read-only folder': _before(
            lambda: kernel.make_read_only(pathlib.Path.cwd()), may_fail=True
        ),
    }
SURROUNDINGS = {name: each for group in GROUPS.values() for name, each in group.items()}
