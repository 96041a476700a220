"""Start a command several times at once: one result, and a line from those that must wait."""

import contextlib
import pathlib
import random
import signal
from collections.abc import Sequence
from typing import Any, ClassVar

from campaign import commands, trees
from campaign.commands import Done
from campaign.jobs import JOBS, OfJobs
from campaign.part import Case, require
from campaign.server import WAYS

MOST = 8  # processes
SECOND_RESUME = 'two resumes'
SEARCH_AND_FIT = 'search and fit'
# Who comes later is refused: another process is at it, or it is done.
_ALONE = [name for name, job in JOBS.items() if job.resumes and '--processes' not in name]


class Concurrency(OfJobs):
    """A case is a job, how many processes do it, and how much later each one starts."""

    name = 'concurrency'
    kinds: ClassVar = {
        **{
            name: f'the same {name}, up to {MOST} times at once'
            for name in JOBS
            if name not in ('train --processes', 'search --halving')
        },
        SECOND_RESUME: 'an interrupted run, resumed by two at once',
        SEARCH_AND_FIT: 'search and fit at once in one folder',
    }
    share = 0.7
    in_tests = 1

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        kind = self.kind_of(number)
        count = 2 if kind in (SECOND_RESUME, SEARCH_AND_FIT) else rng.choice((2, 3, MOST))
        facts: dict[str, Any] = {'delays': [round(rng.random() / 10, 3) for _ in range(count)]}
        if kind == 'download':
            facts['answers'] = [rng.choice(WAYS) for _ in range(rng.randint(0, 2))]
        return kind, facts

    def run(self, case: Case, folder: pathlib.Path) -> None:
        if case.kind == SEARCH_AND_FIT:
            self._search_and_fit(case.facts['delays'], folder)
        else:
            self._the_same(case, folder)

    def _search_and_fit(self, delays: list[float], folder: pathlib.Path) -> None:
        jobs = [JOBS['search'], JOBS['fit']]
        truths = [self.truths.of(job.name) for job in jobs]
        for job in jobs:
            self.truths.prepare(job, folder)
        ended = _all_at_once([job.command for job in jobs], delays, folder)
        require(not _failed(ended), _told(ended))
        trees.require_same(folder, truths[0].content | truths[1].content)

    def _the_same(self, case: Case, folder: pathlib.Path) -> None:
        name = 'train' if case.kind == SECOND_RESUME else case.kind
        job = JOBS[name]
        with self.begun(name, folder, case.facts.get('answers', ())) as (arguments, truth):
            command = (*job.command, *arguments)
            if case.kind == SECOND_RESUME:
                _interrupt(command, folder)
                command = job.resumed
            delays = case.facts['delays']
            ended = _all_at_once([command] * len(delays), delays, folder)
            done = len(ended) - len(_failed(ended))
            bad = len(case.facts.get('answers', ()))  # each meets one process
            if case.kind in _ALONE:
                # Otherwise two have trained into one folder, and written the same.
                require(done == 1, f'{done} of them were done: {_told(ended)}')
            elif job.name in ('train', 'fit'):
                # Who comes when the first is done may begin anew, or find it done.
                require(done, f'none of them was done: {_told(ended)}')
            else:
                require(len(_failed(ended)) <= bad, _told(ended))
            if not done:
                commands.forked(*command, cwd=folder).require_told([0])
        trees.require_same(folder, truth.content)


def _interrupt(command: tuple[str, ...], folder: pathlib.Path) -> None:
    """Begin a run, and stop it when there is a snapshot."""
    with commands.start_forked(*command, cwd=folder) as started:
        while started.wait(0.01) is None and not list(folder.glob('models/run/snapshot-*')):
            require(not started.is_late(), 'it has made no snapshot, and has not ended')
        started.send(signal.SIGTERM)
        started.finish().require_told([0, 128 + signal.SIGTERM])


def _all_at_once(
    lines: Sequence[tuple[str, ...]], delays: list[float], folder: pathlib.Path
) -> list[Done]:
    """Run commands, each so many seconds after the one before; return how they ended."""
    with contextlib.ExitStack() as stack:
        started = []
        for command, delay in zip(lines, delays, strict=True):
            begun = commands.start_forked(*command, cwd=folder)
            started.append(stack.enter_context(begun))
            begun.wait(delay)
        ended = [each.finish() for each in started]
    trees.require_whole(folder)
    for done in ended:
        done.require_told()
    return ended


def _failed(ended: Sequence[Done]) -> list[Done]:
    return [done for done in ended if done.status]


def _told(ended: Sequence[Done]) -> str:
    last = [done.err.strip().splitlines()[-1:] for done in _failed(ended)]
    return f'ended with statuses {[done.status for done in ended]}: {last}'
