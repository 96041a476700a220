"""Let the disk fail: full or broken at every write in turn, read-only, gone; then go on."""

import contextlib
import errno
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
from campaign.jobs import JOBS, OfJobs, Truth, require_sound, served
from campaign.machines import kernel
from campaign.part import Broke, Case, Impossible, require
from campaign.zygote import Zygote
from chainer_onednn.kernels import compile

GOLDEN = 0.6180339887  # its multiples come near every place between 0 and 1 in turn
ATTEMPTS = 3  # until it must be done, once the disk is well

FULL, QUOTA, BROKEN = 'full at a write', 'quota used up at a write', 'error at a write'
SLOW, SIZE = 'slow', 'file size limit'
TMPFS, READ_ONLY, REMOVED = 'full file system', 'read-only folders', 'folder removed'

# The number of the error (0: none, but slow), and whether all later calls have it, too.
_FAULTS = {
    FULL: (errno.ENOSPC, True),
    QUOTA: (errno.EDQUOT, True),
    BROKEN: (errno.EIO, False),
    SLOW: (0, True),
}

_JOBS = [name for name in JOBS if 'processes' not in name]


class Disks(OfJobs):
    """A case is a job, what its disk does, and at which place of it."""

    name = 'disks'
    kinds: ClassVar = {
        FULL: 'No space left on device, from the n-th write, flush, rename or new name on',
        QUOTA: 'Disk quota exceeded, likewise',
        BROKEN: 'Input/output error at the n-th of them',
        SLOW: 'each of them takes 5 ms longer, as on a network drive',
        SIZE: 'RLIMIT_FSIZE: files of so many bytes at most',
        TMPFS: 'a tmpfs of so many bytes',
        READ_ONLY: 'no folder takes a new file',
        REMOVED: 'the folder is removed while the command writes into it',
    }
    in_tests = 8

    def __init__(self, workshop: pathlib.Path) -> None:
        super().__init__(workshop)
        self._calls: dict[str, int] = {}
        self._zygote: Zygote | None = None

    def draw(self, number: int, rng: random.Random) -> tuple[str, dict[str, Any]]:
        kind = self.kind_of(number)
        turn = number // len(self.kinds)
        place = turn // len(_JOBS) * GOLDEN + rng.random() * 0.01
        return kind, {'job': _JOBS[turn % len(_JOBS)], 'place': round(place % 1, 4)}

    def run(self, case: Case, folder: pathlib.Path) -> None:
        name, place = case.facts['job'], case.facts['place']
        job = JOBS[name]
        with served(job) as arguments, contextlib.ExitStack() as stack:
            truth = self.truths.of(name, arguments)
            if case.kind == TMPFS:
                room = stack.enter_context(_tmpfs(folder))
            self.truths.prepare(job, folder)
            command, older = (*job.command, *arguments), trees.content(folder)
            done: Done | None
            if case.kind in _FAULTS:
                done = self._fault(case.kind, name, place, command, folder)
            elif case.kind == SIZE:
                done = _with_small_files(command, truth, place, folder)
            elif case.kind == TMPFS:
                done = room(command, truth, place)
            elif case.kind == READ_ONLY:
                done = _read_only(command, folder)
            else:
                return _removed(command, truth, place, folder)
            done.require_told()
            _require_one_line(done)
            require_sound(job, folder, older, truth)
            require(case.kind != SLOW or done.status == 0, done.err.strip())
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

    def _fault(
        self, kind: str, name: str, place: float, command: tuple[str, ...], folder: pathlib.Path
    ) -> Done:
        if self._zygote is None:
            self._zygote = Zygote(_library(self.workshop))
        if name not in self._calls:
            whole = self.workshop / f'all calls of {name}'
            whole.mkdir()
            self.truths.prepare(JOBS[name], whole)
            done, self._calls[name] = self._zygote.run(*command, cwd=whole)
            done.require_told([0])
            shutil.rmtree(whole)
        at = 1 if kind == SLOW else 1 + int(place * self._calls[name])
        return self._zygote.run(*command, cwd=folder, fail=(at, *_FAULTS[kind]))[0]


def _library(workshop: pathlib.Path) -> pathlib.Path:
    """Compile fault.c.

    Raises:
        Impossible: There is no compiler.
    """
    source, target = pathlib.Path(__file__).with_name('fault.c'), workshop / 'fault.so'
    for compiler in compile.compilers():
        line = [*compiler, '-O1', '-shared', '-fPIC', '-o', str(target), str(source), '-ldl']
        with contextlib.suppress(OSError):
            if subprocess.run(line, capture_output=True).returncode == 0:
                return target
    raise Impossible('no C compiler')


def _with_small_files(
    command: tuple[str, ...], truth: Truth, place: float, folder: pathlib.Path
) -> Done:
    """Run it with a limit on the size of files, of which the largest is larger than that."""
    # What it says goes to a file, too.
    limit = max(4096, int(place * truth.largest))

    def before() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    return commands.start_forked(*command, cwd=folder, before=before).finish()


@contextlib.contextmanager
def _tmpfs(folder: pathlib.Path) -> Iterator[Callable[[tuple[str, ...], Truth, float], Done]]:
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


def _too_small(folder: pathlib.Path, command: tuple[str, ...], truth: Truth, place: float) -> Done:
    used = sum(path.stat().st_blocks * 512 for path in folder.rglob('*'))
    room = used + 4096 + int(place * truth.size)
    _remount(folder, f'size={room}')
    done = commands.forked(*command, cwd=folder)
    _remount(folder, 'size=1g')
    return done


def _remount(folder: pathlib.Path, options: str) -> None:
    subprocess.run(['mount', '-o', f'remount,{options}', str(folder)], check=True)


def _read_only(command: tuple[str, ...], folder: pathlib.Path) -> Done:
    """Run it where nothing can be written; what it tells must be that, and no other want."""
    folders = [folder, *(path for path in folder.rglob('*') if path.is_dir())]
    modes = {path: path.stat().st_mode for path in folders}
    for path in folders:
        path.chmod(0o555)
    try:
        done = commands.start_forked(*command, cwd=folder, before=kernel.obey_permissions).finish()
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    denied = os.strerror(errno.EACCES)
    require(done.status == 0 or denied in done.err, f'says nothing of that: {done.err.strip()}')
    return done


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
