"""Cut the power at a random moment of a command, lose what was not flushed, and go on."""

import pathlib
import random
import shutil
import tempfile
from typing import Any, ClassVar

from campaign import commands, trace, trees
from campaign.jobs import JOBS, OfJobs, require_sound, served
from campaign.part import Broke, Case, fraction, require

ATTEMPTS = 3  # until it must be done

# Not with several processes: the trace is one of the first only.
_JOBS = {name: job for name, job in JOBS.items() if 'processes' not in name}


class Power(OfJobs):
    """A case is a job, at which change of which kind of file the cut is, and what it leaves."""

    name = 'power'
    kinds: ClassVar = {name: f'power cut in {name}' for name in _JOBS}
    in_tests = 3

    def __init__(self, workshop: pathlib.Path) -> None:
        super().__init__(workshop)
        self._traces: dict[str, trace.Trace] = {}

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        facts = {'file': fraction(rng), 'place': fraction(rng), 'left': rng.getrandbits(32)}
        return self.kind_of(number), facts

    def run(self, case: Case, folder: pathlib.Path) -> None:
        job = JOBS[case.kind]
        with served(job) as arguments:
            truth = self.truths.of(case.kind, arguments)
            found = self._trace(case.kind, arguments)
            self.truths.prepare(job, folder)
            older = trees.content(folder)
            for name in trees.WRITTEN:
                shutil.rmtree(folder / name, ignore_errors=True)
            moment = found.choose(case.facts['file'], case.facts['place'])
            trace.Cut(found, moment, random.Random(case.facts['left'])).write(folder)
            require_sound(job, folder, older, truth)
            done = None
            for _ in range(ATTEMPTS):
                # A user does not know how far it was, and tries to resume.
                command = job.again(done) if done or not job.resumes else job.resumed
                done = commands.forked(*command, *arguments, cwd=folder)
                done.require_told()
                if done.status == 0:
                    break
                require(done.err.count('there is no run to resume'), done.err.strip())
        if done is None or done.status:
            raise Broke(f'not done after {ATTEMPTS} attempts')
        trees.require_same(folder, truth.content)

    def _trace(self, name: str, arguments: tuple[str, ...]) -> trace.Trace:
        if name not in self._traces:
            # Another one each time: if the first could not be recorded, that fails one case only.
            job, folder = JOBS[name], pathlib.Path(tempfile.mkdtemp(dir=self.workshop))
            self.truths.prepare(job, folder)
            path = self.workshop / f'{name}.trace'
            begin = commands.start_forked(
                *job.command,
                *arguments,
                cwd=folder,
                before=lambda: trace.Recorder(path).start(),
            )
            begin.finish().require_told([0])
            self._traces[name] = trace.read(path)
        return self._traces[name]
