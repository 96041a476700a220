"""The commands. To add one, write a module here with ``main(argv, prog)`` and a script src/NAME.py.

The list of commands shows the first line of the module's docstring. A command with the flag
``--batch_size`` sets ``TAKES_BATCH_SIZE``, for the advice when memory runs out. A module whose name
begins with an underscore is no command.
"""

import ast
import pathlib
import pkgutil


def find() -> dict[str, str]:
    """Find the commands and a line on each; do not import them, since packages may be missing."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return {name: _summary(name) for name in names if not name.startswith('_')}


def _summary(name: str) -> str:
    source = pathlib.Path(__file__).with_name(f'{name}.py')
    text = ast.get_docstring(ast.parse(source.read_text(encoding='utf-8'))) or ''
    line = text.partition('\n')[0]
    return line[:1].lower() + line[1:].removesuffix('.')
