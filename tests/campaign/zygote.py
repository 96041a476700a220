"""A process that has imported the commands, with a library preloaded, and forks for each of them.

Run as a program, it reads a line of JSON for each command from standard input, and answers with
another one. A fork of it runs with the library, as one of the campaign itself cannot.
"""

import contextlib
import ctypes
import functools
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence

TESTS = pathlib.Path(__file__).resolve().parents[1]
if __name__ == '__main__':
    sys.path[:0] = [str(TESTS), str(TESTS.parent / 'src')]

from campaign import commands  # noqa: E402
from campaign.commands import Done  # noqa: E402
from campaign.part import Broke  # noqa: E402


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
        self, *command: str, cwd: pathlib.Path, fail: tuple[int, int, bool] = (0, 0, False)
    ) -> tuple[Done, int]:
        """Run a command; `fail` is what `campaign_arm` in fault.c takes.

        Returns:
            How it ended, and how many calls were counted.

        Raises:
            Broke: It takes too long.
        """
        assert self._process.stdin and self._process.stdout
        request = {'command': command, 'cwd': str(cwd), 'fail': fail}
        self._process.stdin.write(json.dumps(request) + '\n')
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if 'broke' in answer:
            raise Broke(answer['broke'])
        return Done(command[0], answer['status'], answer['out'], answer['err']), answer['calls']

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _serve() -> None:
    library = ctypes.CDLL(None)  # all that is loaded
    library.campaign_calls.restype = ctypes.c_long
    library.campaign_arm.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_int)
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_run(library, **request)), file=answers, flush=True)


def _run(
    library: ctypes.CDLL, command: Sequence[str], cwd: str, fail: Sequence[int]
) -> dict[str, object]:
    reading, writing = os.pipe()

    def count() -> None:
        os.write(writing, str(library.campaign_calls()).encode())

    begin = functools.partial(library.campaign_arm, *fail)
    try:
        place = pathlib.Path(cwd)
        done = commands.start_forked(*command, cwd=place, before=begin, after=count).finish()
        os.set_blocking(reading, False)
        calls = 0
        with contextlib.suppress(BlockingIOError):  # it died before it could tell
            calls = int(os.read(reading, 20))
        return {'status': done.status, 'out': done.out, 'err': done.err, 'calls': calls}
    except Broke as reason:
        return {'broke': str(reason)}
    finally:
        os.close(reading)
        os.close(writing)


if __name__ == '__main__':
    _serve()
