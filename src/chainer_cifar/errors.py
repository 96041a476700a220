"""The exceptions for what a user can correct or stops, and how to call a command here."""

import contextlib
import pathlib
import shlex
import sys
from collections.abc import Iterator, Mapping


class UserError(Exception):
    """Bad input. Its text is one line: what (file, flag), what is wrong, what to do.

    The command line prints it without a traceback and exits with status 2.
    """


class Diverged(UserError):
    """The weights or gradients of a training are no numbers any more."""


class Interrupted(KeyboardInterrupt):
    """A signal stopped what ran, in good order; the text says in what state.

    Args:
        message: The line for the user.
        signum: The signal, which decides the exit status.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum


@contextlib.contextmanager
def prefixed(text: str) -> Iterator[None]:
    """Put `text`, such as a flag's name, before the reason of a UserError from the block.

    A library does not know the flag that a value came from, so it raises the bare reason.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f'{text}{error}') from None


@contextlib.contextmanager
def advised(advice: Mapping[type[UserError], str]) -> Iterator[None]:
    """Add to a UserError from the block what to do about it, which its class decides.

    A library does not know the flags by which a user can do something about it.
    """
    try:
        yield
    except tuple(advice) as error:
        raise UserError(f'{error}; {advice[type(error)]}') from None


def first_line(error: Exception) -> str:
    """Return what a library's error says, in one line: its first one, or else its class."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def command_line(command: str) -> str:
    """Write out `command`, such as ``dataset --only mean``, as the user called the present one.

    That gives ``python src/dataset.py --only mean`` or ``chainer-cifar dataset --only mean``.
    """
    name, space, rest = command.partition(' ')
    if sys.argv[0].endswith('.py'):
        script = pathlib.Path(sys.argv[0]).with_name(f'{name}.py')
        if script.is_file():
            return f'python {shlex.quote(str(script))}{space}{rest}'
    return f'chainer-cifar {command}'
