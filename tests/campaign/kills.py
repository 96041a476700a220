"""Kill commands at random moments, up to five times, and go on until they are done."""

import contextlib
import functools
import os
import pathlib
import pty
import random
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from campaign import commands, trees
from campaign.commands import Done
from campaign.jobs import JOBS, Job, OfJobs, Truth, require_sound
from campaign.part import Broke, require
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
    """A case is a job, and when which signals come."""

    name = 'kills'
    kinds: ClassVar = {
        name: f'{name}, killed up to {_most(job)} times' for name, job in JOBS.items()
    }
    share = 3.0
    in_tests = 2

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        kind = self.kind_of(number)
        kills = [
            (rng.choice((KILL, KILL, TERM, INT, STOP, HANGUP)), round(rng.random(), 4))
            for _ in range(rng.randint(1, _most(JOBS[kind])))
        ]
        # Most of the time of a command is that of its imports; a fork has them already.
        facts: dict[str, Any] = {'forked': rng.random() < 0.75, 'kills': kills}
        if kind == 'download':
            facts['answers'] = [rng.choice(WAYS) for _ in range(rng.randint(0, 6))]
            # By itself a command waits half a minute for a server that stalls.
            facts['forked'] |= not set(STALLS).isdisjoint(facts['answers'])
        return kind, facts

    def run(self, case: Any, folder: pathlib.Path) -> None:
        answers = case.facts.get('answers', ())
        with self.begun(case.kind, folder, answers) as (arguments, truth):
            _run_to_the_end(JOBS[case.kind], arguments, case.facts, truth, folder)
        trees.require_same(folder, truth.content)


def _run_to_the_end(
    job: Job,
    arguments: tuple[str, ...],
    facts: dict[str, Any],
    truth: Truth,
    folder: pathlib.Path,
) -> None:
    kills, done, older = list(facts['kills']), None, trees.content(folder)
    seconds = truth.seconds if facts['forked'] else truth.seconds + _imports(job.name)
    for _ in range(ATTEMPTS + len(kills)):
        command = (*job.again(done), *arguments)
        if kills:
            sent, share = kills.pop(0)
            done = killed(command, sent, share * seconds, folder, facts['forked'])
        else:
            sent, done = STOP, commands.forked(*command, cwd=folder)
        if sent == HANGUP:  # nobody saw the line that it may have written after that
            require(done.status in _STATUSES[sent], f'ended with status {done.status}')
        elif not (sent == INT and _is_of_python(done)):
            done.require_told(_STATUSES[sent])
        require_sound(job, folder, older, truth)
        if done.status == 0 and sent != HANGUP:
            return
        # What nobody interrupted may fail for want of a run to resume, or because of the server.
        if done.status == 2 and not kills and not arguments:
            require('there is no run to resume' in done.err, done.err.strip())
    raise Broke(f'not done after {ATTEMPTS} attempts; the last: {done.err.strip() if done else ""}')


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
    seconds = commands.patience(30)
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
