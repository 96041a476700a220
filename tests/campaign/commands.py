"""Start a command as a user does, or in a fork of this process, under limits of time and memory.

A fork saves the seconds that the imports of a command take. This process must not compute with
Chainer, since threads do not survive a fork.
"""

import contextlib
import dataclasses
import fcntl
import importlib
import os
import pathlib
import re
import resource
import select
import signal
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from campaign.part import require

SRC = pathlib.Path(__file__).resolve().parents[2] / 'src'
SECONDS = 60.0  # that a command may take
WAIT = 5.0  # that it waits, in a fork, for a server that says nothing
BYTES = 4 << 30  # of memory that a process may have
_STOPS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP  # which the campaign itself takes for Ctrl-C


@dataclasses.dataclass(frozen=True)
class Done:
    """An ended command.

    Attributes:
        name: Such as ``train``.
        status: Exit status; -9 if it was killed by signal 9.
        out: Standard output.
        err: Standard error.
    """

    name: str
    status: int
    out: str
    err: str

    def require_told(self, statuses: Sequence[int] = (0, 2)) -> None:
        """Raise Broke unless it ended with one of `statuses`, without a traceback.

        With status 2 the last line of standard error must be the error's.
        """
        last = (self.err.strip().splitlines() or [''])[-1]
        for sign in ('Traceback', 'Fatal Python error', 'Exception ignored', 'core dumped'):
            require(sign not in self.err, f'{sign}: {last}')
        require(
            self.status in statuses,
            f'{self.name}: exit status {self.status}, not one of {list(statuses)}: {last}',
        )
        if self.status == 2:
            error = re.match(rf'(\S* )*{self.name}(\.py)?: error: .', last)
            require(error, f'{self.name}: exit status 2 without a line that says why: {last!r}')


def run(name: str, *arguments: object, cwd: pathlib.Path, **variables: str) -> Done:
    """Run src/`name`.py to its end, with `variables` in its environment.

    Raises:
        Broke: It takes too long.
    """
    return start(name, *arguments, cwd=cwd, **variables).finish()


def forked(name: str, *arguments: object, cwd: pathlib.Path, **variables: str) -> Done:
    """Do the same in a fork of this process."""
    return start_forked(name, *arguments, cwd=cwd, **variables).finish()


def start(
    name: str,
    *arguments: object,
    cwd: pathlib.Path,
    terminal: int | None = None,
    **variables: str,
) -> 'Started':
    """Start src/`name`.py; on the terminal with that descriptor if one is given."""
    command = [sys.executable, str(SRC / f'{name}.py'), *map(str, arguments)]
    variables = environment(**variables)
    return Started(name, lambda: os.execve(command[0], command, variables), cwd, terminal)


def start_forked(
    name: str,
    *arguments: object,
    cwd: pathlib.Path,
    terminal: int | None = None,
    before: Callable[[], object] = lambda: None,
    seconds: float = SECONDS,
    **variables: str,
) -> 'Started':
    """Do the same in a fork of this process, within `seconds`; call `before` there."""
    importlib.import_module(f'chainer_cifar.commands.{name}')
    importlib.import_module('chainer_cifar.figures.drawn')  # which a command does when it draws
    from chainer_cifar import cli
    from chainer_cifar.data import fetch

    def command() -> None:
        fetch.TIMEOUT = WAIT, WAIT
        os.environ.update(environment(**variables))
        sys.argv = [f'{name}.py', *map(str, arguments)]
        before()
        cli.script(name)

    return Started(name, command, cwd, terminal, seconds)


def in_fork(function: Callable[[], Any], name: str, cwd: pathlib.Path) -> Done:
    """Call a function in a fork of this process, under the limits; it returns an exit status.

    Raises:
        Broke: It takes too long.
    """
    return Started(name, function, cwd).finish()


def environment(**more: str) -> Mapping[str, str]:
    """The variables for a command: one thread, ours of the source, and `more`."""
    kept = {k: v for k, v in os.environ.items() if k not in ('MPLBACKEND', 'DISPLAY', 'COLUMNS')}
    threads = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'OMP_WAIT_POLICY': 'passive'}
    return {**kept, **threads, 'PYTHONPATH': str(SRC), 'LC_ALL': 'C.UTF-8', **more}


class Started:
    """A running command in a session of its own; what it writes goes to files.

    Args:
        name: What to call it.
        function: What it does; it may return an exit status, raise, or start another program.
        cwd: Where.
        terminal: Descriptor of a terminal for its streams; None: files, and nothing to read.
        seconds: How much processor time it may take; and time, but for that in which it could run
            and others had the cores.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[], Any],
        cwd: pathlib.Path,
        terminal: int | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self.name = name
        self._seconds, self._begin = seconds, time.monotonic()
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self.status: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        # A signal that met the new process before it is a command would end it as a campaign ends:
        # with all that the campaign has begun. So it waits.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
        try:
            self.pid = os.fork()
            if not self.pid:
                streams = [os.open(os.devnull, os.O_RDONLY), self._out.fileno(), self._err.fileno()]
                streams = streams if terminal is None else [terminal] * 3
                _be_child(function, cwd, streams, terminal, seconds, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        self._descriptor = os.pidfd_open(self.pid)

    def out(self) -> str:
        """What it has written to standard output until now."""
        file = self._out.fileno()
        # Not by reading on: it writes where this process and it are in the file.
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors='replace')

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.status is None:
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> int | None:
        """Wait for so many seconds, or until it ends; return its exit status, None if it runs."""
        if self.status is None and select.select([self._descriptor], [], [], seconds)[0]:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def finish(self) -> Done:
        """Wait until it ends; kill it, and those that it started, if it takes too long.

        Raises:
            Broke: It had to be killed.
        """
        try:
            while self.wait(1) is None and not self.is_late():
                pass
            status = self.status
        finally:
            self.end()
        require(status is not None, f'{self.name}: has not ended after {self._seconds:.0f} s')
        require(
            status != -signal.SIGXCPU, f'{self.name}: took {self._seconds:.0f} s of processor time'
        )
        assert status is not None
        return Done(self.name, status, _text(self._out), _text(self._err))

    def is_late(self) -> bool:
        """Say whether it still runs after its time, without that in which others had the cores."""
        late = time.monotonic() - self._begin - patience(self._seconds)
        return late > 0 and late > _kept_waiting(self.pid)

    def end(self) -> None:
        """Kill it and those that it started, if they still run."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._descriptor >= 0:
            while self.wait(60) is None:
                self.send(signal.SIGKILL)  # it had no session of its own yet
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> 'Started':
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()


def patience(seconds: float) -> float:
    """How long to wait for what takes so many seconds: more on a machine that others use, too."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def facts_of(process: pathlib.Path) -> list[str]:
    """What the system says of a process, a folder of /proc: the fields of its `stat` from state on.

    Raises:
        OSError: It has ended.
    """
    # Its name, in brackets, may hold spaces.
    return (process / 'stat').read_text().rpartition(')')[2].split()


def _kept_waiting(session: int) -> float:
    """The seconds for which processes of a session could have run, but had no core."""
    found = 0.0
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                if int(facts_of(entry)[3]) == session:
                    found += int((entry / 'schedstat').read_text().split()[1]) / 1e9
    return found


def _limit(seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, resource.RLIM_INFINITY))
    # A shell's background job, as a campaign may be one, ignores SIGINT and hands it down.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _be_child(
    function: Callable[[], Any],
    cwd: pathlib.Path,
    streams: Sequence[int],
    terminal: int | None,
    seconds: float,
    mask: Iterable[int],
) -> None:
    """Call `function`, with no signals waiting but `mask`, and end this process with its status."""
    status = 1
    try:
        os.setsid()
        _limit(seconds)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        if terminal is not None:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        # pytest, perhaps, has put others in their place.
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = os.fdopen(1, 'w', encoding='utf-8', closefd=False)
        sys.stderr = os.fdopen(2, 'w', 1, 'utf-8', 'backslashreplace', closefd=False)
        os.chdir(cwd)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        status = function() or 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _text(file: Any) -> str:
    file.seek(0)
    return file.read().decode(errors='replace')
