"""The commands: ``chainer-cifar train …`` and ``python src/train.py …`` both arrive here."""

import importlib
import signal
import sys

from chainer_cifar import __version__, commands
from chainer_cifar.errors import UserError
from chainer_cifar.registry import nearest
from chainer_cifar.streams import drop_stdout, tell

COMMANDS = commands.find()  # their names, and a line on each


def run(name, argv, prog):
    """Run one command; its exit status: 0, 2 for bad input, 130 for Ctrl-C, 143 for SIGTERM."""
    command = None
    try:
        command = importlib.import_module(f'chainer_cifar.commands.{name}')
        command.main(argv, prog)
        sys.stdout.flush()
    except UserError as error:
        print(f'{prog}: error: {error}', file=sys.stderr)
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
    except BrokenPipeError:
        # The reader of a pipe (`| head`) left: not our error, and nothing more to say to it.
        drop_stdout()
        return 128 + signal.SIGPIPE
    except (MemoryError, RuntimeError) as error:
        # CuPy's is a MemoryError, too; those of CUDA's libraries are told by their names.
        if not isinstance(error, MemoryError) and 'ALLOC_FAILED' not in str(error):
            raise
        batches = getattr(command, 'TAKES_BATCH_SIZE', False)
        less = 'try a smaller --batch_size' if batches else 'ask for less of it'
        print(f'{prog}: error: out of memory ({error}); {less}', file=sys.stderr)
        return 2
    except OSError as error:
        # No space, no permission, a file where a folder should be.
        print(f'{prog}: error: {error.filename}: {error.strerror or error}', file=sys.stderr)
        return 2
    return 0


def script(name):
    """Entry of src/<name>.py."""
    sys.exit(run(name, sys.argv[1:], f'{name}.py'))


def main(prog='chainer-cifar'):
    """Entry of the ``chainer-cifar`` command; `prog` is what was typed for it."""
    argv = sys.argv[1:]
    if argv and argv[0] in COMMANDS:
        sys.exit(run(argv[0], argv[1:], f'{prog} {argv[0]}'))
    if argv and argv[0] in ('-V', '--version'):
        print(f'chainer-cifar {__version__}')
        return
    lines = [f'  {name:10} {text}' for name, text in COMMANDS.items()]
    usage = '\n'.join([f'usage: {prog} COMMAND …   (COMMAND --help tells its flags)', *lines])
    if not argv or argv[0] in ('-h', '--help'):
        print(usage)
        return
    hint = nearest(argv[0], COMMANDS)
    print(f"{prog}: error: no command is called '{argv[0]}'{hint}\n{usage}", file=sys.stderr)
    sys.exit(2)
