"""Let a command meet a fault at a chosen call for a chosen kind of file."""

import contextlib
import functools
import pathlib
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence

from campaign import kinds
from campaign.commands import Done
from campaign.jobs import JOBS, Truths, served, truths
from campaign.kinds import REMOVES
from campaign.part import Impossible, require
from campaign.zygote import Fault, Zygote
from chainer_onednn.kernels import compile


@functools.cache
def faults(shared: pathlib.Path) -> 'Faults':
    """The faults that parts beside each other share."""
    return Faults(shared, truths(shared))


class Faults:
    """Runs commands under faults, in forks of a process that has the library of fault.c.

    Args:
        shared: A folder for the library.
        truths: Prepare the jobs.
    """

    def __init__(self, shared: pathlib.Path, truths: Truths) -> None:
        self._shared = shared
        self._truths = truths
        self._calls: dict[str, Counter[str]] = {}  # of each job, by the kind of file
        self._zygote: Zygote | None = None

    def disk(
        self,
        name: str,
        arguments: Sequence[str],
        folder: pathlib.Path,
        at: tuple[float, float],
        number: int,
        lasting: bool,
    ) -> Done:
        """Run a job on a disk that fails.

        Args:
            name: The job.
            arguments: What its command needs more.
            folder: Where to run it; prepared.
            at: Which kind of file, and which of its calls: both from 0 to 1.
            number: Of the error.
            lasting: All calls after it fail, too.
        """
        # A full disk can remove files, so that these calls never fail.
        calls = {kind: n for kind, n in self._calls_of(name).items() if kind[0] != REMOVES}
        kind, fault = _choose(calls, at, number, lasting)
        done, met = self._begun().run(*JOBS[name].command, *arguments, cwd=folder, fault=fault)
        require(met[kind], f'the fault was to come at {kind}, which it did not write')
        return done

    def slow(self, command: Sequence[str], folder: pathlib.Path) -> Done:
        """Run a command on a slow disk."""
        return self._begun().run(*command, cwd=folder, fault=Fault('', 1, 0, True))[0]

    def signal(
        self,
        name: str,
        command: Sequence[str],
        folder: pathlib.Path,
        at: tuple[float, float],
        number: int,
        **variables: str,
    ) -> Done:
        """Run a command that gets a signal at a call, if it comes there.

        Args:
            name: The job, of whose undisturbed run the call is chosen.
            command: Its command, or the one that goes on after it, with all arguments.
            folder: Where to run it.
            at: As in `disk`.
            number: Of the signal.
            variables: More of the environment.
        """
        _, fault = _choose(self._calls_of(name), at, -number)
        return self._begun().run(*command, cwd=folder, fault=fault, **variables)[0]

    def close(self) -> None:
        """End the process."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None

    def _begun(self) -> Zygote:
        if self._zygote is None or self._zygote.has_ended():
            self._shared.mkdir(parents=True, exist_ok=True)
            self._zygote = Zygote(_library(self._shared))
        return self._zygote

    def _calls_of(self, name: str) -> Counter[str]:
        """How many calls an undisturbed run of a job makes for each kind of file."""
        if name not in self._calls:
            folder = pathlib.Path(tempfile.mkdtemp(dir=self._truths.folder))
            job = JOBS[name]
            self._truths.prepare(job, folder)
            with served(job) as arguments:
                done, calls = self._begun().run(*job.command, *arguments, cwd=folder)
            done.require_told([0])
            self._calls[name] = calls
            shutil.rmtree(folder)
        return self._calls[name]


def _choose(
    calls: Mapping[str, int], at: tuple[float, float], number: int, lasting: bool = False
) -> tuple[str, Fault]:
    """Choose a kind of file, then one of its calls; return the kind, too."""
    names = sorted(calls)
    name = names[int(at[0] * len(names))]
    place = 1 + int(at[1] * calls[name])
    return name, Fault(f'^{kinds.pattern(name)}$', place, number, lasting)


def _library(folder: pathlib.Path) -> pathlib.Path:
    """Compile fault.c.

    Raises:
        Impossible: There is no compiler.
    """
    source, target = pathlib.Path(__file__).with_name('fault.c'), folder / 'fault.so'
    for compiler in compile.compilers():
        line = [*compiler, '-O1', '-shared', '-fPIC', '-o', str(target), str(source), '-ldl']
        with contextlib.suppress(OSError):
            if subprocess.run(line, capture_output=True).returncode == 0:
                return target
    raise Impossible('no C compiler')
