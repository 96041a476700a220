"""A process that has imported the commands, with a library preloaded, and forks for each of them.

Run as a program, it reads a line of JSON for each command from standard input, and answers with
another one. A fork of it runs with the library, as one of the campaign itself cannot.
"""

import contextlib
import ctypes
import dataclasses
import functools
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence

TESTS = pathlib.Path(__file__).resolve().parents[1]
if __name__ == '__main__':
    sys.path[:0] = [str(TESTS), str(TESTS.parent / 'src')]

from campaign import commands, kinds  # noqa: E402
from campaign.commands import Done  # noqa: E402
from campaign.part import Broke  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Fault:
    """What `campaign_arm` in fault.c takes.

    Attributes:
        names: A regular expression of POSIX for the names of files.
        at: Which of their calls meets the fault; 0: none.
        number: The error; 0: the call is slow; -9: the process gets signal 9.
        lasting: All calls after it, for whatever file, meet it, too.
    """

    names: str = ''
    at: int = 0
    number: int = 0
    lasting: bool = False


_NONE = Fault()


class Zygote:
    """The process, seen from outside.

    Args:
        library: The library to preload.
    """

    def __init__(self, library: pathlib.Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**commands.environment(), 'LD_PRELOAD': str(library)},
        )

    def run(
        self, *command: str, cwd: pathlib.Path, fault: Fault = _NONE, **variables: str
    ) -> tuple[Done, Counter[str]]:
        """Run a command with `variables` in its environment.

        Returns:
            How it ended, and how many calls it made for each kind of file; see kinds.py.

        Raises:
            Broke: It takes too long, or this process has died.
        """
        assert self._process.stdin and self._process.stdout
        request = {
            'command': command,
            'cwd': str(cwd),
            'fault': dataclasses.astuple(fault),
            'variables': variables,
        }
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(request) + '\n')
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise Broke('the process that forks for commands has died')
        answer = json.loads(line)
        if 'broke' in answer:
            raise Broke(answer['broke'])
        done = Done(command[0], answer['status'], answer['out'], answer['err'])
        return done, Counter(answer['calls'])

    def has_ended(self) -> bool:
        """Say whether the process has died."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the process, and the command that it runs."""
        self._process.terminate()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


def _serve() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    library = ctypes.CDLL(None)  # all that is loaded
    library.campaign_arm.argtypes = (
        *(ctypes.c_char_p, ctypes.c_long),
        *(ctypes.c_int, ctypes.c_int, ctypes.c_int),
    )
    answers, sys.stdout = sys.stdout, sys.stderr
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            request = json.loads(line)
            print(json.dumps(_run(library, **request)), file=answers, flush=True)


def _run(
    library: ctypes.CDLL,
    command: Sequence[str],
    cwd: str,
    fault: Sequence[str | int],
    variables: Mapping[str, str],
) -> dict[str, object]:
    names, *numbers = fault
    with tempfile.TemporaryFile() as notes:
        arm = functools.partial(library.campaign_arm, str(names).encode(), *numbers, notes.fileno())
        try:
            begun = commands.start_forked(*command, cwd=pathlib.Path(cwd), before=arm, **variables)
            done = begun.finish()
        except Broke as reason:
            return {'broke': str(reason)}
        notes.seek(0)
        calls = Counter(map(kinds.kind, notes.read().decode(errors='replace').splitlines()))
        return {'status': done.status, 'out': done.out, 'err': done.err, 'calls': calls}


if __name__ == '__main__':
    _serve()
