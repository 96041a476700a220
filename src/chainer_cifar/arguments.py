"""Parse the arguments of every command; an error is one line, with the nearest right flag."""

import argparse
import dataclasses
import itertools
import os
import pathlib
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NoReturn

from chainer_cifar.errors import UserError
from chainer_cifar.registry import nearest

# The names of flags in other tools, and ours, for which they stand.
ALIASES = {
    '--epoch': '--iter',
    '--epochs': '--iter',
    '--num_epochs': '--iter',
    '--batchsize': '--batch_size',
    '--learning_rate': '--lr',
    '--wd': '--weight_decay',
    '--arch': '--model',
    '--data': '--dataset',
    '--name': '--prefix',
}


class ArgumentParser(argparse.ArgumentParser):
    """Do as argparse, except for mistakes, ``@FILE`` and flags like ``--batch-size``.

    Our long flags have underscores; dashes that a user types there mean the same. So do the names
    that other tools have for a flag (`ALIASES`).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_args(self, args: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        # Files may stand before, between and after the flags.
        parse = self.parse_known_args
        if self._get_positional_actions():
            parse = self.parse_known_intermixed_args
        try:
            parsed, unknown = parse(args)
        except UserError:
            # Something else may be missing because of a mistyped flag.
            flags = itertools.takewhile('--'.__ne__, args)
            self._refuse([flag for flag in flags if flag.startswith('--')])
            raise
        self._refuse(unknown)
        return parsed

    def read_with(self, name: str, read: Callable[[str], Any]) -> None:
        """Let `read` make the value of the flag `name` from what the user types."""
        self._option_string_actions[f'--{name}'].type = read

    def _refuse(self, arguments: Iterable[str]) -> None:
        """Raise UserError if one of the arguments is no flag of ours."""
        known = self._option_string_actions
        for argument in arguments:
            flag = self._ours(argument).split('=')[0]
            if flag not in known:
                if not argument.startswith('-'):
                    raise UserError(f"unexpected argument '{argument}' (see --help)")
                hint = nearest(flag, known) or ' (see --help)'
                raise UserError(f"no flag is called '{argument}'{hint}")

    def _ours(self, argument: str) -> str:
        """Turn ``--batch-size=a-b`` into ``--batch_size=a-b``, and ``--epochs`` into ``--iter``."""
        flag, equals, value = argument.partition('=')
        if flag.startswith('--'):
            flag = '--' + flag[2:].replace('-', '_')
            known = self._option_string_actions
            alias = ALIASES.get(flag)
            if flag not in known and alias in known:
                flag = alias
        return flag + equals + value

    def _parse_optional(self, arg_string: str) -> Any:
        # argparse calls this for each word of the command line and of files, but not after a --.
        return super()._parse_optional(self._ours(arg_string))

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        # The value in --lr=-- is two dashes; argparse would make an empty list of it.
        if action.option_strings and action.nargs is None and arg_strings == ['--']:
            return self._get_value(action, '--')
        return super()._get_values(action, arg_strings)

    def _read_args_from_files(
        self, arg_strings: Iterable[str], outer: tuple[str, ...] = ()
    ) -> list[str]:
        """Replace each @FILE by the words in it; `outer` are the files that we are reading."""
        words: list[str] = []
        for argument in arg_strings:
            if argument[:1] != self.fromfile_prefix_chars:
                words.append(argument)
            elif argument in outer:
                raise UserError(f'{argument}: a file of flags names itself')
            else:
                inner = _words(argument)
                words += self._read_args_from_files(inner, (*outer, argument))
        return words

    def _print_message(self, message: str, file: Any = None) -> None:
        # argparse would ignore that the help cannot be written.
        print(message, end='', file=file or sys.stdout, flush=True)

    def error(self, message: str) -> NoReturn:
        raise UserError(f'{message} (see --help)')


def _words(argument: str) -> list[str]:
    """Read the words in the file that ``@FILE`` names, as a shell would."""
    path = pathlib.Path(argument[1:])
    if not path.is_file():
        raise UserError(f'{argument}: there is no file {path} to read flags from')
    try:
        # Decode it as Python does the command line, so that names of files are the same in both.
        text = os.fsdecode(path.read_text(encoding='utf-8-sig').encode())
    except UnicodeDecodeError:
        raise UserError(f'{argument}: not a text in UTF-8; save it as one') from None
    words: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if '\0' in line:
                raise ValueError('it holds a zero byte')
            words += shlex.split(line, comments=True)
        except ValueError as error:
            raise UserError(f'{argument}: line {number}: {error}: {line}') from None
    return words


def add_flags(
    parser: ArgumentParser,
    config: type[Any],
    names: Collection[str] | None = None,
    default: str = 'told',
    groups: Iterable[str] = (),
    train: bool = False,
) -> dict[str, argparse._ArgumentGroup]:
    """Add flags for the fields of a dataclass such as TrainConfig.

    Args:
        parser: Where to add them.
        config: The dataclass; config.py says what the metadata of its fields hold.
        names: The fields that get a flag; None: all.
        default: The metadata that --help shows as default: ``told``, that of the field; ``of_run``,
            where it is another run's; or none of them.
        groups: The groups that --help shows, in this order; without them, the flags are in one
            list.
        train: The command is train.

    Returns:
        The groups by name, to which one may add more flags.
    """
    shown = {name: parser.add_argument_group(name) for name in groups}
    for field in dataclasses.fields(config):
        if names is not None and field.name not in names:
            continue
        flags = [f'--{field.name}']
        if field.metadata['short']:
            flags.insert(0, field.metadata['short'])
        target = shown.get(field.metadata['group'], parser)
        if field.type is bool:
            target.add_argument(*flags, action='store_true', help=meaning(field, train))
            continue
        told = field.metadata.get(default, '')
        kind: Any = field.type  # a class, not a text: the dataclass's module does not postpone it
        target.add_argument(
            *flags,
            type=kind,
            metavar=kind.__name__.upper(),
            help=meaning(field, train).replace('%', '%%')
            + (f' (default: {told})' if told != '' else ''),
        )
    return shown


def meaning(field: dataclasses.Field[Any], train: bool) -> str:
    """Return the help of a flag, of train or of another command."""
    texts = (field.metadata['help'], field.metadata['in_train'] if train else '')
    return '; '.join(filter(None, texts))
