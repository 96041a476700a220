"""Record how a command changes its folder, and make what a power cut could leave of it.

The model is strict: what a file holds is lost unless it was flushed (fsync), and so is each name in
a folder since that folder was flushed. Names in one folder come and go in order; what happens in
one folder tells nothing of another. So a cut leaves each folder as it was at some moment since its
last flush, and of a file that was not flushed all, half, or what was flushed before.
"""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import pickle
import random
from collections.abc import Callable
from typing import Any

from campaign import kinds
from campaign.trees import WRITTEN

# Functions of os that change what a folder holds, or flush it. The recorder looks after each.
_WATCHED = ('fsync', 'replace', 'rename', 'unlink', 'remove', 'mkdir', 'rmdir')


@dataclasses.dataclass
class Moment:
    """The folder after a call.

    Attributes:
        folders: Names in each folder by its inode: the inodes that they stand for.
        files: The digest of what is in each file, by its inode.
        flushed: The inode that was flushed by the call; 0: none.
        kind: That of the file that the call was for; see kinds.py.
    """

    folders: dict[int, dict[str, int]]
    files: dict[int, str]
    flushed: int
    kind: str = ''


@dataclasses.dataclass
class Trace:
    """All moments of a command.

    Attributes:
        root: The inode of the folder.
        moments: In their order; the first is before the command.
        contents: What is in files, by digest.
    """

    root: int
    moments: list[Moment] = dataclasses.field(default_factory=list)
    contents: dict[str, bytes] = dataclasses.field(default_factory=dict)

    def choose(self, file: float, place: float) -> int:
        """Choose a moment: first among the kinds of files, then among those of a kind.

        Args:
            file: Which kind, from 0 to 1.
            place: Which moment, likewise.

        Returns:
            The number of the moment.
        """
        found: dict[str, list[int]] = {}
        for number, moment in enumerate(self.moments[1:], 1):
            found.setdefault(moment.kind, []).append(number)
        numbers = found[sorted(found)[int(file * len(found))]]
        return numbers[int(place * len(numbers))]


class Recorder:
    """Records the changes of the current folder by this process into a file.

    Args:
        path: The file; `read` reads it.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._root = os.stat('.').st_ino
        self._path_of_root = os.getcwd()
        self._contents: dict[str, bytes] = {}  # not yet in the file
        self._known: dict[tuple[int, int, int], str] = {}
        self._held: dict[int, int] = {}  # descriptors, so that no number is given a second time
        self._busy = False

    def start(self) -> None:
        """Record from now on, until the process ends."""
        with open(self._path, 'wb') as file:
            pickle.dump(self._root, file)
        for name in _WATCHED:
            setattr(os, name, self._watched(getattr(os, name)))
        self._look(0, '')

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self._busy:
                return function(*arguments, **options)
            self._busy = True
            try:
                # What was written until now, even if the call takes its name away.
                name = self._name(*arguments, **options)
                self._look(0, name)
                result = function(*arguments, **options)
                flushed = os.fstat(arguments[0]).st_ino if function.__name__ == 'fsync' else 0
                self._look(flushed, name)
                return result
            finally:
                self._busy = False

        return call

    def _name(self, path: Any, *_: Any, dir_fd: int | None = None, **__: Any) -> str:
        """The kind of the file that is the first argument of a call."""
        if isinstance(path, int):
            path = os.readlink(f'/proc/self/fd/{path}')
        elif dir_fd is not None:
            path = os.path.join(os.readlink(f'/proc/self/fd/{dir_fd}'), path)
        return kinds.kind(os.path.relpath(path, self._path_of_root))

    def _look(self, flushed: int, kind: str) -> None:
        moment = Moment({}, {}, flushed, kind)
        self._look_into(pathlib.Path(), self._root, moment)
        with open(self._path, 'ab') as file:
            pickle.dump((moment, self._contents), file)
        self._contents = {}

    def _look_into(self, folder: pathlib.Path, number: int, moment: Moment) -> None:
        names = moment.folders[number] = {}
        for entry in os.scandir(folder):
            if folder == pathlib.Path() and entry.name not in WRITTEN:
                continue
            facts = entry.stat(follow_symlinks=False)
            names[entry.name] = facts.st_ino
            self._hold(entry.path, facts.st_ino)
            if entry.is_dir():
                self._look_into(pathlib.Path(entry.path), facts.st_ino, moment)
            else:
                moment.files[facts.st_ino] = self._content(entry.path, facts)

    def _hold(self, path: str, number: int) -> None:
        if number not in self._held:
            with contextlib.suppress(OSError):
                self._held[number] = os.open(path, os.O_PATH)

    def _content(self, path: str, facts: os.stat_result) -> str:
        key = facts.st_ino, facts.st_size, facts.st_mtime_ns
        if key not in self._known:
            content = pathlib.Path(path).read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            self._contents[digest] = content
            self._known[key] = digest
        return self._known[key]


def read(path: pathlib.Path) -> Trace:
    """Read what a `Recorder` wrote."""
    with open(path, 'rb') as file:
        trace = Trace(pickle.load(file))
        with contextlib.suppress(EOFError):
            while True:
                moment, contents = pickle.load(file)
                trace.moments.append(moment)
                trace.contents |= contents
    return trace


class Cut:
    """What a power cut right after a moment of a trace leaves.

    Args:
        trace: The trace.
        moment: The number of the moment.
        rng: Chooses among what may be left.
    """

    def __init__(self, trace: Trace, moment: int, rng: random.Random) -> None:
        self._trace = trace
        self._moment = moment
        self._rng = rng
        self._flushed: dict[int, int] = {}  # when each inode was flushed last
        for number, each in enumerate(trace.moments[: moment + 1]):
            if each.flushed:
                self._flushed[each.flushed] = number

    def write(self, folder: pathlib.Path) -> None:
        """Write it into an empty folder."""
        self._write_folder(self._trace.root, folder)

    def _write_folder(self, number: int, folder: pathlib.Path) -> None:
        known = [n for n in range(self._moment + 1) if number in self._trace.moments[n].folders]
        first = max(self._flushed.get(number, known[0]), known[0])
        # A folder that is gone by now is as it was before.
        at = self._rng.choice([n for n in known if n >= first] or known[-1:])
        for name, inode in sorted(self._trace.moments[at].folders[number].items()):
            if any(inode in moment.folders for moment in self._trace.moments[: self._moment + 1]):
                (folder / name).mkdir()
                self._write_folder(inode, folder / name)
            else:
                (folder / name).write_bytes(self._content(inode))

    def _content(self, inode: int) -> bytes:
        """What is left in a file."""
        at = self._flushed.get(inode)
        flushed = b'' if at is None else self._at(inode, at)
        last = self._at(inode, self._moment)
        if inode in self._trace.moments[0].files and at is None:
            return last if self._at(inode, 0) == last else self._rng.choice([last, b''])
        if flushed == last:
            return last
        return self._rng.choice([last, last[: len(last) // 2], flushed])

    def _at(self, inode: int, moment: int) -> bytes:
        for each in reversed(self._trace.moments[: moment + 1]):
            if inode in each.files:
                return self._trace.contents[each.files[inode]]
        return b''
