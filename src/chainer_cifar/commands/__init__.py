"""The commands. To add one: a module here with ``main(argv, prog)``, and a script src/NAME.py.

The first line of the module's docstring is what the list of commands tells of it. A command that
has the flag ``--batch_size`` sets ``TAKES_BATCH_SIZE``, for the advice when memory runs out. A
module whose name begins with an underscore is no command.
"""

import ast
import importlib.util
import pathlib
import pkgutil


def find() -> dict[str, str]:
    """The commands and a line on each, without importing them: some need packages that may lack."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return {name: _summary(name) for name in names if not name.startswith('_')}


def _summary(name):
    source = pathlib.Path(importlib.util.find_spec(f'{__name__}.{name}').origin)
    text = ast.get_docstring(ast.parse(source.read_text(encoding='utf-8'))).splitlines()[0]
    return text[0].lower() + text[1:].removesuffix('.')
