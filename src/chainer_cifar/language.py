"""The little language of ``--augment`` and ``--lr_shape``: ``rotate(20)|shift(0.2)|mirror``.

A text is a series of steps in the order in which they are applied, with ``|`` or a comma between
them. A step is a registered name, followed by its arguments in parentheses if it has any: numbers,
words (``none`` is Python's None), or ``name=value``. ``none`` and the empty text have no steps.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from chainer_cifar.errors import UserError

T = TypeVar('T')
Value: TypeAlias = int | float | str | None  # of an argument

# Each part may be missing: superfluous commas have always been forgiven.
_STEP = re.compile(r'\s*(?:(\w+)\s*(?:\(([^()]*)\)\s*)?)?')


def build(text: str, registry: Mapping[str, Callable[..., T]], *context: object) -> list[T]:
    """Build the steps that `text` names.

    Args:
        text: See above.
        registry: Maps names to classes or functions, whose parameters are the arguments of a step.
            They raise ValueError if an argument makes no sense.
        context: Passed to each class or function before its arguments.

    Returns:
        What each step built.

    Raises:
        UserError: The text is malformed, a name is not registered, or an argument does not fit.
    """
    return [_build_step(name, arguments, registry, context) for name, arguments in _steps(text)]


def names(text: str) -> list[str]:
    """Return the names of the steps of a text that `build` has read."""
    return [name for name, _ in _steps(text)]


def _steps(text: str) -> list[tuple[str, str]]:
    """Split a text into (name, text in the parentheses)."""
    if not text.strip() or text.strip() == 'none':
        return []
    steps: list[tuple[str, str]] = []
    position = 0
    while match := _STEP.match(text, position):  # always: it matches the empty text, too
        if match[1]:
            steps.append((match[1], match[2] or ''))
        position = match.end()
        if position == len(text):
            return steps
        if text[position] not in '|,':
            break
        position += 1
    raise UserError(
        f"'{text}': cannot read it from '{text[position:]}' on; "
        f'write it like name|name(1)|name(2, option=3)'
    )


def _build_step(
    name: str,
    arguments: str,
    registry: Mapping[str, Callable[..., T]],
    context: tuple[object, ...],
) -> T:
    step = f'{name}({arguments})' if arguments else name
    try:
        build = registry[name]
    except UserError as error:
        raise UserError(f"'{step}': {error}") from None
    try:
        args, kwargs = _arguments(arguments)
        inspect.signature(build).bind(*context, *args, **kwargs)
    except (ValueError, TypeError):
        expected = form(name, build, len(context))
        raise UserError(f"'{step}': write it as {expected}") from None
    try:
        return build(*context, *args, **kwargs)
    except (ValueError, TypeError) as error:
        raise UserError(f"'{step}': {error}") from None


def _arguments(text: str) -> tuple[list[Value], dict[str, Value]]:
    """Read the values and named values between parentheses; raise ValueError on a malformed one."""
    args: list[Value] = []
    kwargs: dict[str, Value] = {}
    for argument in text.split(',') if text.strip() else []:
        name, equals, value = (part.strip() for part in argument.rpartition('='))
        if not value or bool(name) != bool(equals) or name in kwargs:
            raise ValueError
        if name:
            kwargs[name] = _value(value)
        else:
            args.append(_value(value))
    return args, kwargs


def _value(text: str) -> Value:
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    return None if text == 'none' else text


def form(name: str, build: Callable[..., Any], skip: int = 0) -> str:
    """Show how to write a step: ``crop(margin=4)``. Leave out the first `skip` parameters."""
    parameters = list(inspect.signature(build).parameters.values())[skip:]
    words = [
        each.name if each.default is each.empty else f'{each.name}={_word(each.default)}'
        for each in parameters
    ]
    return f'{name}({", ".join(words)})' if words else name


def forms(registry: Mapping[str, Callable[..., Any]], skip: int = 0) -> str:
    """Join the `form` of each step in `registry` with commas."""
    return ', '.join(form(name, build, skip) for name, build in registry.items())


def _word(value: object) -> str:
    return 'none' if value is None else str(value)
