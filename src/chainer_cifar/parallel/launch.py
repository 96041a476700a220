"""Start the processes of ``--processes`` under mpirun, and look after them until they end."""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO

from chainer_cifar import extras
from chainer_cifar.errors import UserError
from chainer_cifar.parallel.environment import cores
from chainer_cifar.parallel.link import VARIABLE
from chainer_cifar.streams import tell

PATIENCE = 5.0  # seconds that processes get to end by themselves
BEGINNING = 60.0  # and to begin, where a signal came before

_SOURCE = pathlib.Path(__file__).parents[2]

# What each process runs. It is a file: `python -c` would import from the current directory first.
PROGRAM = _SOURCE / 'chainer_cifar_command.py'


def launch(count: int, argv: Sequence[str], prog: str) -> int:
    """Run the train command in `count` processes on this machine.

    Args:
        count: How many.
        argv: What the user typed after the command.
        prog: What the user typed for the command.

    Returns:
        The exit status.

    Raises:
        UserError: There is no mpirun, or it starts nothing; or there is no place for a socket.
    """
    mpirun = find_mpirun()
    typed = json.dumps({'argv': list(argv), 'prog': prog, 'sys_argv': sys.argv})
    command = [*_mpirun_command(mpirun, count), sys.executable, str(PROGRAM), typed]
    with tempfile.TemporaryDirectory(prefix='chainer-cifar-') as folder:
        path = os.path.join(folder, 'link')
        with socket.socket(socket.AF_UNIX) as listener, open(f'{folder}/out', 'w+b') as output:
            try:
                listener.bind(path)
            except OSError as error:  # most systems take 107 bytes, and some drives no socket
                raise UserError(
                    f'--processes: cannot make a socket {path} ({error.strerror or error}); set '
                    f'TMPDIR to a folder of this machine with a shorter path'
                ) from None
            listener.listen(count)
            process = subprocess.Popen(
                command,
                env=_environment(count, path),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that Ctrl-C reaches this process only
            )
            family = _Family(count, process, listener, output, prog)
            with family.handling_signals():
                return family.look_after()


def find_mpirun() -> str:
    """Find the mpirun beside this Python, where pip installs it, or the machine's own.

    Raises:
        UserError: There is none.
    """
    beside = pathlib.Path(sys.executable).parent / 'mpirun'
    found = str(beside) if beside.exists() else shutil.which('mpirun')
    if found is None:
        raise UserError(
            f"needs MPI's mpirun; {extras.install('mpi')}, or the MPI of this machine and mpi4py "
            '(see docs/parallel.md)'
        )
    return found


def _mpirun_command(mpirun: str, count: int) -> list[str]:
    command = [mpirun, '-np', str(count)]
    version = subprocess.run([mpirun, '--version'], capture_output=True, text=True).stdout
    if 'Open MPI' in version or 'OpenRTE' in version:
        # It would tie each process to one core, refuse more processes than cores, and in a job of
        # several nodes start some on the others.
        command += ['--bind-to', 'none', '--oversubscribe', '--host', f'localhost:{count}']
        if os.geteuid() == 0:
            command.append('--allow-run-as-root')
    return command


def _environment(count: int, path: str) -> dict[str, str]:
    variables = {**os.environ, VARIABLE: path}
    variables.setdefault('OMP_NUM_THREADS', str(max(1, cores() // count)))
    threads = variables['OMP_NUM_THREADS']
    if threads.isdecimal() and int(threads) * count > cores():
        variables.setdefault('OMPI_MCA_mpi_yield_when_idle', '1')  # do not spin while waiting
    paths = [str(_SOURCE), *filter(None, [os.environ.get('PYTHONPATH')])]
    return {**variables, 'PYTHONPATH': os.pathsep.join(paths)}


@dataclasses.dataclass(eq=False)
class _Process:
    """What one process has told by its line; see link.py."""

    connection: socket.socket
    unread: bytes = b''  # the beginning of a message
    rank: int | None = None
    pid: int | None = None
    waiting: bool = False  # for the others
    status: int | None = None  # when it ends


class _Family:
    """The processes, as the one that started them sees them."""

    def __init__(
        self,
        count: int,
        mpirun: 'subprocess.Popen[bytes]',
        listener: socket.socket,
        output: IO[bytes],
        prog: str,
    ) -> None:
        self.count = count
        self.mpirun = mpirun
        self.output = output
        self.prog = prog
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ)
        self.processes: list[_Process] = []
        self.ended: list[_Process] = []  # with a status
        self.lost: list[_Process] = []  # without
        self.deadline: float | None = None  # for those that are left
        self.begin_by = math.inf  # where a signal came before they had begun
        self.signals: list[int] = []
        self.warned = -math.inf  # when

    @contextlib.contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Pass signals on to the processes during the block; kill these at its end."""
        handlers = {
            **dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), self._on_signal),
            signal.SIGTSTP: self._pause,
            signal.SIGCONT: self._go_on,
        }
        for number in (signal.SIGHUP, signal.SIGTSTP):
            if signal.getsignal(number) == signal.SIG_IGN:  # as nohup wants it
                del handlers[number]
        before = {number: signal.signal(number, handlers[number]) for number in handlers}
        try:
            yield
        finally:
            self._kill()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        self.signals.append(number)
        for pid in self._alive():
            _send_signal(pid, number)
        if len(self.signals) > 1 or number == signal.SIGHUP:  # which training does not wait for
            self.deadline = time.monotonic() + PATIENCE
        self.begin_by = time.monotonic() + BEGINNING

    def _pause(self, number: int, frame: object) -> None:
        """Stop all, as Ctrl-Z wants it: the processes are in a session of their own."""
        for pid in self._alive():
            _send_signal(pid, signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)

    def _go_on(self, number: int, frame: object) -> None:
        for pid in self._alive():
            _send_signal(pid, signal.SIGCONT)

    def _alive(self) -> list[int]:
        # The number of one that is lost may be another program's by now.
        return [
            each.pid
            for each in self.processes
            if each.pid and each.status is None and each not in self.lost
        ]

    def look_after(self) -> int:
        """Wait until all processes have ended; say what nobody else could."""
        while self.mpirun.poll() is None and not self._overdue():
            self._listen(0.1)
        self._listen(0)
        self._listen(0)  # the last words, and then the end of the connection
        told = [each.status for each in self.ended if each.status]
        if told:
            return told[0]
        if len(self.ended) == self.count:
            return 0
        if self.signals:
            tell(f'{self.prog}: interrupted')
            return 128 + self.signals[0]
        tell(f'{self.prog}: error: {self._what_happened()}')
        return 2

    def _overdue(self) -> bool:
        begun = sum(each.pid is not None for each in self.processes)
        late = begun < self.count and time.monotonic() > self.begin_by
        return late or (self.deadline is not None and time.monotonic() > self.deadline)

    def _listen(self, seconds: float) -> None:
        for key, _ in self.selector.select(seconds):
            if key.data is None:
                assert isinstance(key.fileobj, socket.socket)
                self._welcome(key.fileobj)
            else:
                self._hear(key.data)

    def _welcome(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        # mpirun may have ended it already, since another ended; _hear reads what it left to say.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(connection, [b'.'], [1, 2])
        self.processes.append(_Process(connection))
        self.selector.register(connection, selectors.EVENT_READ, self.processes[-1])

    def _hear(self, process: _Process) -> None:
        try:
            data = process.connection.recv(4096)
        except OSError:
            data = b''
        *lines, process.unread = (process.unread + data).split(b'\n')
        for line in lines:
            self._understand(process, line.decode())
        if not data:
            self.selector.unregister(process.connection)
            process.connection.close()
            if process.status is None:
                self.lost.append(process)
                self.deadline = self.deadline or time.monotonic() + PATIENCE / 2

    def _understand(self, process: _Process, line: str) -> None:
        word, _, rest = line.partition(' ')
        if word == 'waiting':
            process.waiting = True
            self._warn(int(rest))
        elif word == 'going':
            process.waiting = False
        elif word == 'lost':
            self._end(process, 2, self._who_is_lost(int(rest)))
        elif word == 'begin':
            process.rank, process.pid = map(int, rest.split())
            for number in self.signals[-1:]:  # it came too early to be passed on
                _send_signal(process.pid, number)
        elif word == 'end':
            status, _, reason = rest.partition(' ')
            self._end(process, int(status), reason)

    def _end(self, process: _Process, status: int, reason: str) -> None:
        """Note that a process ends; tell the reason, if any, unless another had one."""
        if reason and not any(each.status for each in self.ended):
            tell(f'{self.prog}: error: {reason}')
        if process.status is None:
            self.ended.append(process)
        process.status = status
        if status or len(self.ended) == self.count:
            self.deadline = self.deadline or time.monotonic() + PATIENCE

    def _warn(self, seconds: int) -> None:
        """Say once for all of them that some are waiting."""
        if time.monotonic() - self.warned > seconds:
            self.warned = time.monotonic()
            tell(
                f'warning: waiting for a process for {seconds} seconds; is one of them stopped? '
                f'(process ids: {", ".join(map(str, self._alive()))})'
            )

    def _who_is_lost(self, seconds: int) -> str:
        silent = [
            f'process {each.rank} (process id {each.pid})'
            for each in self.processes
            if each.pid and not each.waiting and each.status is None
        ]
        who = ' and '.join(silent) or 'another process'
        return f'{who} did not answer for {seconds} seconds; continue with --resume'

    def _what_happened(self) -> str:
        again = 'continue with --resume'
        if self.mpirun.poll() == -signal.SIGKILL:
            return f'mpirun was killed; {again}'
        if self.lost:
            first = self.lost[0].rank
            if first is None:
                return f'a process of {self.count} could not begin: {self._words_of_mpirun()}'
            return f'process {first} of {self.count} was killed or crashed; {again}'
        if all(each.rank is None for each in self.processes):
            return f'mpirun started no process: {self._words_of_mpirun()}'
        return f'mpirun ended with status {self.mpirun.poll()}; {again}'

    def _words_of_mpirun(self) -> str:
        self.output.seek(0)
        text = self.output.read().decode(errors='replace')
        words = re.sub(r'-{20,}', ' ', text).split()
        return ' '.join(words)[:300] or f'exit status {self.mpirun.poll()}'

    def _kill(self) -> None:
        """End what is left."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = all(each.status == 0 for each in self.processes if each.pid)
            if self.mpirun.poll() is None and done:
                self.mpirun.wait(PATIENCE)
        for pid in self._alive():
            _send_signal(pid, signal.SIGKILL)
        if self.mpirun.poll() is None:
            self.mpirun.terminate()
            try:
                self.mpirun.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.mpirun.kill()
                self.mpirun.wait()


def _send_signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
