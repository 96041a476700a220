"""The commands: ``chainer-cifar train …`` and ``python src/train.py …`` both arrive here."""

import importlib
import os
import signal
import sys

from chainer_cifar import __version__, commands
from chainer_cifar.errors import UserError
from chainer_cifar.registry import nearest
from chainer_cifar.streams import STDOUT, drop, prepare, tell

COMMANDS = commands.find()  # their names, and a line on each


def run(name, argv, prog):
    """Run one command; its exit status: 0, 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM."""
    command = None
    try:
        command = importlib.import_module(f'chainer_cifar.commands.{name}')
        command.main(argv, prog)
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
        # CuPy's is a MemoryError, too; those of CUDA's libraries are told by their names.
        if not isinstance(error, MemoryError) and 'ALLOC_FAILED' not in str(error):
            raise
        batches = getattr(command, 'TAKES_BATCH_SIZE', False)
        less = 'try a smaller --batch_size or net' if batches else 'ask for less of it'
        tell(f'{prog}: error: out of memory ({error}); {less}')
        return 2
    except OSError as error:
        return _tell_failure(error, prog)
    except UnicodeEncodeError as error:
        # Of a path; what is printed and written can be of any letters.
        tell(
            f'{prog}: error: {error.object}: cannot be the name of a file here, where names are '
            f'written in {error.encoding}; set PYTHONUTF8=1 in the environment'
        )
        return 2
    return 0


def _tell_failure(error, prog):
    """Say what an OSError is about: no space, no permission, a file where a folder should be."""
    if error.filename == STDOUT:
        drop(sys.stdout)
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe (`| head`) left: not our error, and nothing more to say to it.
        return 128 + signal.SIGPIPE
    what = '' if error.filename is None else f'{os.fsdecode(error.filename)}: '
    tell(f'{prog}: error: {what}{error.strerror or error}')
    return 2


def script(name):
    """Entry of src/<name>.py."""
    prepare()
    sys.exit(run(name, sys.argv[1:], f'{name}.py'))


def main(prog='chainer-cifar'):
    """Entry of the ``chainer-cifar`` command; `prog` is what was typed for it."""
    prepare()
    argv = sys.argv[1:]
    if argv and argv[0] in COMMANDS:
        sys.exit(run(argv[0], argv[1:], f'{prog} {argv[0]}'))
    lines = [f'  {name:10} {text}' for name, text in COMMANDS.items()]
    usage = [f'usage: {prog} COMMAND …   (COMMAND --help tells its flags)', *lines]
    if argv and argv[0] not in ('-h', '--help', '-V', '--version'):
        hint = nearest(argv[0], COMMANDS)
        tell(f"{prog}: error: no command is called '{argv[0]}'{hint}", *usage)
        sys.exit(2)
    asked = argv and argv[0] in ('-V', '--version')
    try:
        print(f'chainer-cifar {__version__}' if asked else '\n'.join(usage), flush=True)
    except OSError as error:
        sys.exit(_tell_failure(error, prog))
