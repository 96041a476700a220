"""Kill commands at random moments or writes, up to five times, and go on until they are done."""

import contextlib
import functools
import os
import pathlib
import pty
import random
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from campaign import commands, trees
from campaign.commands import Done
from campaign.faults import Faults, faults
from campaign.jobs import JOBS, Job, OfJobs, Truth, require_sound
from campaign.part import Broke, Case, fraction, require
from campaign.server import STALLS, WAYS

MOST = 5  # kills of a run
MOST_OF_SEARCH = 2  # it gives a trial up that has killed three processes
ATTEMPTS = 12  # until it must be done

KILL, TERM, INT, STOP, HANGUP = 'SIGKILL', 'SIGTERM', 'SIGINT', 'SIGSTOP', 'terminal lost'

# How a command may end after a signal. It may have ended before, and Python itself, or a command
# that has nothing to save yet, is killed by it.
_STATUSES = {
    KILL: (0, 2, -signal.SIGKILL),
    TERM: (0, 2, 128 + signal.SIGTERM, -signal.SIGTERM),
    INT: (0, 2, 128 + signal.SIGINT, -signal.SIGINT),
    STOP: (0, 2),
    HANGUP: (0, 2, 128 + signal.SIGHUP, -signal.SIGHUP),
}


def _most(job: Job) -> int:
    return MOST_OF_SEARCH if job.name == 'search' else MOST


class Kills(OfJobs):
    """A case is a job, and when which signals come: after some time, or at a write of a file."""

    name = 'kills'
    kinds: ClassVar = {
        name: f'{name}, killed up to {_most(job)} times' for name, job in JOBS.items()
    }
    share = 3.0
    in_tests = 2

    def __init__(self, workshop: pathlib.Path) -> None:
        super().__init__(workshop)
        self.faults = faults(self.shared)

    def close(self) -> None:
        self.faults.close()

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        kind = self.kind_of(number)
        kills = [_draw(kind, rng) for _ in range(rng.randint(1, _most(JOBS[kind])))]
        # Most of the time of a command is that of its imports; a fork has them already. One that is
        # killed at a write is always a fork, of the process that has the library.
        facts: dict[str, Any] = {'forked': rng.random() < 0.75, 'kills': kills}
        if kind == 'download':
            facts['answers'] = [rng.choice(WAYS) for _ in range(rng.randint(0, 6))]
            # By itself a command waits half a minute for a server that stalls.
            facts['forked'] |= not set(STALLS).isdisjoint(facts['answers'])
        return kind, facts

    def run(self, case: Case, folder: pathlib.Path) -> None:
        answers = case.facts.get('answers', ())
        with self.begun(case.kind, folder, answers) as (arguments, truth):
            self._run_to_the_end(case, arguments, truth, folder)
        trees.require_same(folder, truth.content)

    def _run_to_the_end(
        self, case: Case, arguments: tuple[str, ...], truth: Truth, folder: pathlib.Path
    ) -> None:
        job, forked = JOBS[case.kind], case.facts['forked']
        kills, done, older = list(case.facts['kills']), None, trees.content(folder)
        seconds = truth.seconds if forked else truth.seconds + _imports(job.name)
        for _ in range(ATTEMPTS + len(kills)):
            command, before = (*job.again(done), *arguments), trees.progress(folder)
            sent, share, file = kills.pop(0) if kills else (STOP, None, None)
            if share is None:
                done = commands.forked(*command, cwd=folder)
            elif file is None:
                done = killed(command, sent, share * seconds, folder, forked)
            else:
                done = _killed_at_a_write(
                    self.faults, case.kind, command, sent, (file, share), folder
                )
            if sent == HANGUP:  # nobody saw the line that it may have written after that
                require(done.status in _STATUSES[sent], f'ended with status {done.status}')
            elif not (sent == INT and _is_of_python(done)):
                done.require_told(_STATUSES[sent])
            require_sound(job, folder, older, truth)
            if job.resumes:
                _require_kept(before, done, folder)
            if done.status == 0 and sent != HANGUP:
                return
            # What nobody interrupted may fail for want of a run to resume, or for the server.
            if done.status == 2 and not kills and not arguments:
                require('there is no run to resume' in done.err, done.err.strip())
        told = done.err.strip() if done else ''
        raise Broke(f'not done after {ATTEMPTS} attempts; the last: {told}')


def _draw(name: str, rng: random.Random) -> tuple[str, float, float | None]:
    """Draw a signal, and when it comes: after a share of the time, or at a write.

    For a write, the share tells which one of a kind of file, and the third which kind.
    """
    sent, share, file = rng.choice((KILL, KILL, TERM, INT, STOP, HANGUP)), fraction(rng), None
    # Another one must wake who is stopped; a terminal is lost from outside; the library of faults
    # is not in what mpirun starts.
    if sent in (KILL, TERM, INT) and 'processes' not in name and rng.random() < 0.6:
        file = fraction(rng)
    return sent, share, file


def _require_kept(before: dict[str, int], done: Done, folder: pathlib.Path) -> None:
    """Raise Broke if a run has lost iterations that a snapshot had, or was told to have."""
    after = trees.progress(folder)
    for name, iteration in before.items():
        require(
            after.get(name, 0) >= iteration,
            f'{name}: a snapshot of iteration {iteration}, then one of {after.get(name)}',
        )
    if told := re.search(r'stopped at iteration (\d+); continue', done.err):
        require(int(told[1]) in after.values(), f'{told[0]}, but there are {after}')
    if 'there is no run to resume' in done.err:
        require(not before, f'there is none to resume, but snapshots of {before}')


@functools.cache
def _imports(name: str) -> float:
    """The seconds that a command's imports take; a truth is found in a fork, without them."""
    line = [sys.executable, '-c', f'import chainer_cifar.commands.{name}']
    start = time.monotonic()
    begun = commands.Started(
        name, lambda: os.execve(line[0], line, commands.environment()), commands.SRC
    )
    begun.finish().require_told([0])
    return time.monotonic() - start


def _is_of_python(done: Done) -> bool:
    """Was Python interrupted before it ran a line of ours? It shows a traceback, then."""
    return 'KeyboardInterrupt' in done.err and str(commands.SRC) not in done.err


def killed(
    command: tuple[str, ...], what: str, seconds: float, folder: pathlib.Path, forked: bool
) -> Done:
    """Run a command and do `what` to it after so many seconds; return how it ended.

    Args:
        command: Its name and arguments.
        what: A signal's name, or `HANGUP`.
        seconds: How long to wait before.
        folder: Where to run it.
        forked: In a fork of this process; otherwise the imports are part of the time.

    Raises:
        Broke: It, or a process that it started, does not end.
    """
    mark = f'{folder.name}-{time.monotonic_ns()}'
    begin = commands.start_forked if forked else commands.start
    if what == HANGUP:
        done = _on_a_terminal(begin, command, seconds, folder, mark)
    else:
        with begin(*command, cwd=folder, CAMPAIGN_CASE=mark) as started:
            started.wait(seconds)
            if what == STOP:
                started.send(signal.SIGSTOP)
                time.sleep(0.1)
                started.send(signal.SIGCONT)
            else:
                started.send(getattr(signal, what))
            done = started.finish()
    _require_none_left(mark)
    return done


def _killed_at_a_write(
    faults: Faults,
    name: str,
    command: tuple[str, ...],
    what: str,
    at: tuple[float, float],
    folder: pathlib.Path,
) -> Done:
    """Run a command of a job, which gets a signal at a write; see `Faults.signal`."""
    mark = f'{folder.name}-{time.monotonic_ns()}'
    number = getattr(signal, what)
    done = faults.signal(name, command, folder, at, number, CAMPAIGN_CASE=mark)
    _require_none_left(mark)
    return done


def _on_a_terminal(
    begin: Callable[..., commands.Started],
    command: tuple[str, ...],
    seconds: float,
    folder: pathlib.Path,
    mark: str,
) -> Done:
    """Run it on a terminal of its own, which is closed after so many seconds."""
    ours, theirs = pty.openpty()
    try:
        with begin(*command, cwd=folder, terminal=theirs, CAMPAIGN_CASE=mark) as started:
            os.close(theirs)
            seen, end = b'', time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                if select.select([ours], [], [], left)[0]:
                    try:
                        seen += os.read(ours, 1 << 16)
                    except OSError:  # it has ended
                        break
            os.close(ours)
            ours = -1
            done = started.finish()
    finally:
        if ours >= 0:
            os.close(ours)
    return Done(done.name, done.status, '', seen.decode(errors='replace').replace('\r\n', '\n'))


def _require_none_left(mark: str) -> None:
    """Wait until no process has `mark` in its environment."""
    seconds = commands.patience(60)
    end = time.monotonic() + seconds
    while left := list(_marked(mark)):
        if time.monotonic() > end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise Broke(f'{len(left)} processes that it started still run {seconds:.0f} s later')
        time.sleep(0.02)


def _marked(mark: str) -> Iterator[int]:
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / 'environ').read_bytes():
                    yield int(entry.name)
