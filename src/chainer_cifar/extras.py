"""Import the packages of an extra, which ``pip install .`` alone does not bring."""

import importlib
import sys
from typing import Any

from chainer_cifar.errors import UserError, first_line


def package(name: str, extra: str, what: str) -> Any:
    """Return the package, or module of one, that is called `name`.

    Args:
        name: As in an import.
        extra: The extra of ours that brings it.
        what: Needs it, for the message.

    Raises:
        UserError: It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f'{what} needs a package that {sys.executable} does not have ({error.name}); '
            f'install it: {install(extra)}'
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # of a library that this system does not load, or of another version
        if isinstance(error.__cause__, KeyboardInterrupt):  # pybind11's, after Ctrl-C
            raise error.__cause__ from None
        raise UserError(
            f'{what} needs the package {name}, which {sys.executable} has but cannot import '
            f'({first_line(error)}); install another version of it: '
            f'{install(extra)} --upgrade'
        ) from None


def install(*extras: str) -> str:
    """Return the command that installs extras; without --editable, a copy would replace src/."""
    return f"pip install --editable '.[{','.join(extras)}]'"
