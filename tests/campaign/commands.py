"""Start a command as a user does, or in a fork of this process, under limits of time and memory."""

import contextlib
import dataclasses
import os
import pathlib
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from campaign.part import Broke, require

SRC = pathlib.Path(__file__).resolve().parents[2] / 'src'
SECONDS = 60.0  # that a command may take
BYTES = 4 << 30  # of memory that a process may have


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

        With status 2 the last line of standard error must be the error's, and the others warnings.
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


def environment(**more: str) -> dict[str, str]:
    """The variables for a command: one thread, ours of the source, and `more`."""
    kept = {k: v for k, v in os.environ.items() if k not in ('MPLBACKEND', 'DISPLAY', 'COLUMNS')}
    threads = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1', 'OMP_WAIT_POLICY': 'passive'}
    return {**kept, **threads, 'PYTHONPATH': str(SRC), 'LC_ALL': 'C.UTF-8', **more}


def limit() -> None:
    """Limit this process; it is what `start` does between fork and exec."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A shell's background job, as a campaign may be one, ignores SIGINT and hands it down.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def start(name: str, *arguments: object, cwd: pathlib.Path, **options: Any) -> 'Started':
    """Start src/`name`.py in a session of its own; `options` are those of Popen."""
    return Started(
        name, [sys.executable, str(SRC / f'{name}.py'), *map(str, arguments)], cwd, options
    )


def run(name: str, *arguments: object, cwd: pathlib.Path, **options: Any) -> Done:
    """Run src/`name`.py to its end.

    Raises:
        Broke: It takes more than `SECONDS`.
    """
    return start(name, *arguments, cwd=cwd, **options).finish()


class Started:
    """A running command; what it writes goes to files, so that nobody needs to read it."""

    def __init__(
        self, name: str, command: Sequence[str], cwd: pathlib.Path, options: dict[str, Any]
    ) -> None:
        self.name = name
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        streams = {'stdout': self._out, 'stderr': self._err}
        options = {'env': environment(), 'preexec_fn': limit, **streams, **options}
        self.process = subprocess.Popen(
            command, cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True, **options
        )

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self.process.send_signal(number)

    def finish(self, seconds: float = SECONDS) -> Done:
        """Wait until it ends; kill it, and those that it started, after `seconds`.

        Raises:
            Broke: It had to be killed.
        """
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Broke(f'{self.name}: has not ended after {seconds:.0f} s') from None
        finally:
            self.end()
        return Done(self.name, status, _text(self._out), _text(self._err))

    def end(self) -> None:
        """Kill it and those that it started, if they still run."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def forked(name: str, *arguments: object, cwd: pathlib.Path) -> Done:
    """Run a command in a fork of this process, which saves the second that its imports take.

    Import what it needs before, once (`import chainer_cifar.commands.NAME`), but compute nothing
    with Chainer in this process: threads do not survive a fork.

    Raises:
        Broke: It takes more than `SECONDS`.
    """

    def command() -> int:
        from chainer_cifar import cli, streams

        sys.argv = [f'{name}.py', *map(str, arguments)]
        streams.prepare()
        return cli.run(name, sys.argv[1:], f'{name}.py')

    return in_fork(command, name, cwd)


def in_fork(function: Callable[[], int], name: str, cwd: pathlib.Path) -> Done:
    """Call a function in a fork of this process, under the limits; it returns an exit status.

    Raises:
        Broke: It takes more than `SECONDS`.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            _be_child(function, cwd, out.fileno(), err.fileno())
        descriptor = os.pidfd_open(pid)
        try:
            ended = select.select([descriptor], [], [], SECONDS)[0]
            if not ended:
                os.killpg(pid, signal.SIGKILL)
        finally:
            os.close(descriptor)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        require(ended, f'{name}: has not ended after {SECONDS:.0f} s')
        return Done(name, status, _text(out), _text(err))


def _be_child(function: Callable[[], int], cwd: pathlib.Path, out: int, err: int) -> None:
    status = 70
    try:
        os.setsid()
        for stream, descriptor in ((out, 1), (err, 2)):
            os.dup2(stream, descriptor)
        # pytest, perhaps, has put others in their place.
        sys.stdout = os.fdopen(1, 'w', encoding='utf-8', closefd=False)
        sys.stderr = os.fdopen(2, 'w', encoding='utf-8', errors='backslashreplace', closefd=False)
        os.chdir(cwd)
        limit()
        # What Python does on its own: SIG_DFL would kill it instead.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = function()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _text(file: Any) -> str:
    file.seek(0)
    return file.read().decode(errors='replace')
