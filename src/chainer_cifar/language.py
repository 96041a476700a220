"""The little language of ``--augment`` and ``--lr_shape``: ``rotate(20)|shift(0.2)|mirror``.

A text is a series of steps with ``|`` (or a comma) between them, in the order in which they are
applied. A step is a registered name, and in parentheses its arguments: numbers, words (``none`` is
Python's None), or ``name=value``. ``none`` and the empty text have no steps.
"""

import inspect
import re

from chainer_cifar.errors import UserError

# All of it may be missing: commas too many have always been forgiven.
_STEP = re.compile(r'\s*(?:(\w+)\s*(?:\(([^()]*)\)\s*)?)?')


def build(text, registry, *context):
    """Build the steps that `text` names.

    Args:
        text (str): See above.
        registry (Registry): From names to classes or functions; their parameters are the arguments
            of a step. They raise ValueError where a value makes no sense.
        context: Given to each before its arguments.

    Returns:
        list: What each step builds.

    Raises:
        UserError: The text is malformed, a name is not registered, or an argument does not fit.
    """
    return [_build_step(name, arguments, registry, context) for name, arguments in _steps(text)]


def names(text):
    """Those of the steps of a text that `build` has read."""
    return [name for name, _ in _steps(text)]


def _steps(text):
    """[(name, text in the parentheses)]"""
    if not text.strip() or text.strip() == 'none':
        return []
    steps, position = [], 0
    while True:
        match = _STEP.match(text, position)
        if match[1]:
            steps.append((match[1], match[2] or ''))
        position = match.end()
        if position == len(text):
            return steps
        if text[position] not in '|,':
            break
        position += 1
    raise UserError(
        f"'{text}': cannot be read from '{text[position:]}' on; "
        f'it must be like name|name(1)|name(2, option=3)'
    )


def _build_step(name, arguments, registry, context):
    step = f'{name}({arguments})' if arguments else name
    try:
        build = registry[name]
    except UserError as error:
        raise UserError(f"'{step}': {error}") from None
    try:
        args, kwargs = _arguments(arguments)
        inspect.signature(build).bind(*context, *args, **kwargs)
    except (ValueError, TypeError):
        raise UserError(f"'{step}': its form is {form(name, build, len(context))}") from None
    try:
        return build(*context, *args, **kwargs)
    except (ValueError, TypeError) as error:
        raise UserError(f"'{step}': {error}") from None


def _arguments(text):
    """Values and named values in the text between parentheses; ValueError if it is malformed."""
    args, kwargs = [], {}
    for argument in text.split(',') if text.strip() else []:
        name, equals, value = (part.strip() for part in argument.rpartition('='))
        if not value or bool(name) != bool(equals) or name in kwargs:
            raise ValueError
        if name:
            kwargs[name] = _value(value)
        else:
            args.append(_value(value))
    return args, kwargs


def _value(text):
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    return None if text == 'none' else text


def form(name, build, skip=0):
    """How a step is written, such as ``crop(margin=4)``; `skip` parameters are context."""
    parameters = list(inspect.signature(build).parameters.values())[skip:]
    words = [
        each.name if each.default is each.empty else f'{each.name}={_word(each.default)}'
        for each in parameters
    ]
    return f'{name}({", ".join(words)})' if words else name


def forms(registry, skip=0):
    """The `form` of each step in `registry`, with commas."""
    return ', '.join(form(name, build, skip) for name, build in registry.items())


def _word(value):
    return 'none' if value is None else str(value)
