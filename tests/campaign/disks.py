"""Let the disk fail: full or broken at some write of some file, read-only, gone; then go on."""

import contextlib
import errno
import itertools
import os
import pathlib
import random
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from campaign import commands, trees
from campaign.commands import Done
from campaign.faults import faults
from campaign.jobs import JOBS, OfJobs, Truth, require_sound, served
from campaign.machines import kernel
from campaign.part import Broke, Case, Impossible, fraction, require

ATTEMPTS = 3  # until it must be done, once the disk is well

FULL, BROKEN = 'full at a write', 'error at a write'
SLOW, SIZE = 'slow', 'file size limit'
TMPFS, READ_ONLY, REMOVED = 'full file system', 'read-only folders', 'folder removed'

_PAGE = 4096  # what a file of one byte takes

_JOBS = [name for name in JOBS if 'processes' not in name]


class Disks(OfJobs):
    """A case is a job, what its disk does, and at which place of it."""

    name = 'disks'
    kinds: ClassVar = {
        FULL: 'disk full, or quota, from some write, flush, rename or new name of some file on',
        BROKEN: 'Input/output error at one of these',
        SLOW: 'each of them takes 5 ms longer, as on a network drive',
        SIZE: 'RLIMIT_FSIZE: files of so many bytes at most',
        TMPFS: 'a tmpfs of so many bytes',
        READ_ONLY: 'no folder takes a new file',
        REMOVED: 'the folder is removed while the command writes into it',
    }
    in_tests = 7

    def __init__(self, workshop: pathlib.Path) -> None:
        super().__init__(workshop)
        self.faults = faults(self.shared)

    def close(self) -> None:
        self.faults.close()

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        kind = self.kind_of(number)
        facts: dict[str, Any] = {
            'job': rng.choice(_JOBS),
            'file': fraction(rng),
            'place': fraction(rng),
        }
        if kind == FULL:
            facts['error'] = rng.choice(('ENOSPC', 'EDQUOT'))
        return kind, facts

    def run(self, case: Case, folder: pathlib.Path) -> None:
        name, place = case.facts['job'], case.facts['place']
        job, at = JOBS[name], (case.facts['file'], place)
        with served(job) as arguments, contextlib.ExitStack() as stack:
            truth = self.truths.of(name, arguments)
            if case.kind == TMPFS:
                room = stack.enter_context(_tmpfs(folder))
            self.truths.prepare(job, folder)
            command, older = (*job.command, *arguments), trees.content(folder)
            done: Done | None
            if case.kind == FULL:
                error = getattr(errno, case.facts['error'])
                done = self.faults.disk(name, arguments, folder, at, error, lasting=True)
            elif case.kind == BROKEN:
                error = errno.EIO
                done = self.faults.disk(name, arguments, folder, at, error, lasting=False)
            elif case.kind == SLOW:
                error, done = 0, self.faults.slow(command, folder)
            elif case.kind == SIZE:
                error, done = errno.EFBIG, _with_small_files(command, truth, at, folder)
            elif case.kind == TMPFS:
                error, done = errno.ENOSPC, room(command, truth, at)
            elif case.kind == READ_ONLY:
                error, done = errno.EACCES, _read_only(command, folder)
            else:
                return _removed(command, truth, place, folder)
            done.require_told([0, 2] if error else [0])
            _require_one_line(done)
            told = done.status == 0 or os.strerror(error) in done.err
            require(told, f'says nothing of "{os.strerror(error)}": {done.err.strip()}')
            require_sound(job, folder, older, truth)
            # What was told may be that all is done, but for something that matters to nobody.
            if done.status == 0:
                return trees.require_same(folder, truth.content)
            for _ in range(ATTEMPTS):
                done = commands.forked(*job.again(done), *arguments, cwd=folder)
                done.require_told()
                if done.status == 0:
                    return trees.require_same(folder, truth.content)
                require(done.err.count('there is no run to resume'), done.err.strip())
        raise Broke(f'not done after {ATTEMPTS} attempts')


def _with_small_files(
    command: tuple[str, ...], truth: Truth, at: tuple[float, float], folder: pathlib.Path
) -> Done:
    """Run it with a limit on the size of files, which one of them is the first to exceed."""
    # Any of those that are larger than all before. What it says goes to a file, too.
    sizes = sorted(set(itertools.accumulate((_PAGE, *truth.written), max)))
    first = int(at[0] * (len(sizes) - 1))
    steps = sizes[first : first + 2]
    limit = steps[0] + int(at[1] * (steps[-1] - steps[0]))

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return commands.start_forked(*command, cwd=folder, before=before).finish()


@contextlib.contextmanager
def _tmpfs(
    folder: pathlib.Path,
) -> Iterator[Callable[[tuple[str, ...], Truth, tuple[float, float]], Done]]:
    """Mount a file system on `folder`; give a function that runs a command while it is too small.

    Raises:
        Impossible: This user cannot.
    """
    mounted = ['mount', '-t', 'tmpfs', 'campaign', str(folder)]
    with contextlib.suppress(OSError):
        if os.geteuid() == 0 and not subprocess.run(mounted, capture_output=True).returncode:
            try:
                yield lambda *arguments: _too_small(folder, *arguments)
            finally:
                subprocess.run(['umount', '--lazy', str(folder)], check=True)
            return
    raise Impossible('needs root, to mount a tmpfs')


def _too_small(
    folder: pathlib.Path, command: tuple[str, ...], truth: Truth, at: tuple[float, float]
) -> Done:
    used = sum(path.stat().st_blocks * 512 for path in folder.rglob('*'))
    pages = [-(-size // _PAGE) for size in truth.written]
    file = int(at[0] * len(pages))
    room = used + _PAGE * (1 + sum(pages[:file]) + int(at[1] * pages[file]))
    _remount(folder, f'size={room}')
    done = commands.forked(*command, cwd=folder)
    _remount(folder, 'size=1g')
    return done


def _remount(folder: pathlib.Path, options: str) -> None:
    subprocess.run(['mount', '-o', f'remount,{options}', str(folder)], check=True)


def _read_only(command: tuple[str, ...], folder: pathlib.Path) -> Done:
    """Run it where nothing can be written."""
    folders = [folder, *(path for path in folder.rglob('*') if path.is_dir())]
    modes = {path: path.stat().st_mode for path in folders}
    for path in folders:
        path.chmod(0o555)
    try:
        return commands.start_forked(*command, cwd=folder, before=kernel.obey_permissions).finish()
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def _removed(command: tuple[str, ...], truth: Truth, place: float, folder: pathlib.Path) -> None:
    """Remove all that it writes, once, while it runs; it may end in any told way."""
    with commands.start_forked(*command, cwd=folder) as started:
        started.wait(place * truth.seconds)
        for name in trees.WRITTEN:
            shutil.rmtree(folder / name, ignore_errors=True)
        done = started.finish()
    done.require_told()
    _require_one_line(done)


def _require_one_line(done: Done) -> None:
    """Raise Broke if it says more than the reason why it ended, and warnings."""
    more = [line for line in done.err.splitlines() if not line.lower().startswith('warning: ')]
    require(len(more) == (done.status == 2), f'{len(more)} lines: {" / ".join(more)[:300]}')
