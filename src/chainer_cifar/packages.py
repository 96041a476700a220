"""Import packages of the extras in setup.py, which `pip install .` alone does not bring."""

import importlib
import sys
from typing import Any

from chainer_cifar.errors import UserError


def optional(name: str, what: str, extra: str) -> Any:
    """Return a package.

    Args:
        name: Of the package.
        what: What needs it, in words.
        extra: The extra that brings it.

    Raises:
        UserError: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f'{what} needs a package that {sys.executable} does not have ({error.name}); '
            f"install it: pip install '.[{extra}]'"
        ) from None
