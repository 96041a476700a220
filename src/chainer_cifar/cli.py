"""Run a command: ``chainer-cifar train …`` and ``python src/train.py …`` both arrive here.

They come by way of chainer_cifar_command.py.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence

from chainer_cifar import __version__, commands
from chainer_cifar.errors import UserError, file_and_reason, lacks_memory
from chainer_cifar.registry import nearest
from chainer_cifar.streams import STDOUT, drop, prepare, tell

COMMANDS = commands.find()  # a line of description by name


def run(name: str, argv: Sequence[str], prog: str) -> int:
    """Run a command, perhaps as one of several processes that train together.

    Args:
        name: One of `COMMANDS`.
        argv: What the user typed after the command.
        prog: What the user typed for the command.

    Returns:
        The exit status: 0, 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM.
    """
    status = _run(name, argv, prog)
    # If a package is missing, nothing has begun that other processes could wait for.
    world = sys.modules.get('chainer_cifar.parallel.world')
    return world.current.leave(status) if world else status


def _run(name: str, argv: Sequence[str], prog: str) -> int:
    command = None
    try:
        command = importlib.import_module(f'chainer_cifar.commands.{name}')
        with _interruptible():
            status: int = command.main(argv, prog) or 0
            sys.stdout.flush()
    except UserError as error:
        tell(f'{prog}: error: {error}')
        return 2
    except ModuleNotFoundError as error:
        package = (error.name or '').split('.')[0]
        if package in ('', 'chainer_cifar', 'chainer_onednn'):
            raise
        tell(
            f"{prog}: error: {sys.executable} has no package '{package}'; run `make install` and "
            f'use .venv/bin/python, or install into this Python as docs/start.md says'
        )
        return 2
    except KeyboardInterrupt as interrupt:
        tell(f'{prog}: {str(interrupt) or "interrupted"}')
        return 128 + getattr(interrupt, 'signum', signal.SIGINT)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        batches = getattr(command, 'TAKES_BATCH_SIZE', False)
        less = 'try a smaller --batch_size or net' if batches else 'ask for less of it'
        tell(f'{prog}: error: out of memory ({error}); {less}')
        return 2
    except OSError as error:
        return _tell_failure(error, prog)
    except UnicodeEncodeError as error:
        # Only in a path, since we can print and write all letters.
        tell(
            f'{prog}: error: {error.object}: cannot be the name of a file here, where names are '
            f'written in {error.encoding}; set PYTHONUTF8=1 in the environment'
        )
        return 2
    return status


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in the block; before and after it may end the process."""
    at_once = signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # see chainer_cifar_command.py
    if at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if at_once:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def _tell_failure(error: OSError, prog: str) -> int:
    """Say what an OSError is about, such as a full disk, and return the exit status."""
    if error.filename == STDOUT:
        drop(sys.stdout)
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe (`| head`) left: that is no error of ours, and nobody reads on.
        return 128 + signal.SIGPIPE
    tell(f'{prog}: error: {file_and_reason(error)}')
    return 2


def _prepare() -> None:
    prepare()
    # We draw into files only; matplotlib would not be imported with a name that it does not know.
    os.environ['MPLBACKEND'] = 'agg'


def script(name: str) -> None:
    """Run src/<name>.py."""
    _prepare()
    sys.exit(run(name, sys.argv[1:], f'{name}.py'))


def again() -> None:
    """Run the train command a second time, as one of the processes that `launch` starts."""
    _prepare()
    typed = json.loads(sys.argv[1])
    sys.argv = typed['sys_argv']
    sys.exit(run('train', typed['argv'], typed['prog']))


def main(prog: str = 'chainer-cifar') -> None:
    """Run the ``chainer-cifar`` command, for which the user typed `prog`."""
    _prepare()
    argv = sys.argv[1:]
    if argv and argv[0] in COMMANDS:
        sys.exit(run(argv[0], argv[1:], f'{prog} {argv[0]}'))
    lines = [f'  {name:10} {text}' for name, text in COMMANDS.items()]
    usage = [f'usage: {prog} COMMAND …   (COMMAND --help shows its flags)', *lines]
    if argv and argv[0] not in ('-h', '--help', '-V', '--version'):
        hint = nearest(argv[0], COMMANDS)
        tell(f"{prog}: error: no command is called '{argv[0]}'{hint}", *usage)
        sys.exit(2)
    asked = argv and argv[0] in ('-V', '--version')
    try:
        print(f'chainer-cifar {__version__}' if asked else '\n'.join(usage), flush=True)
    except OSError as error:
        sys.exit(_tell_failure(error, prog))
