"""The argument parser of every command: its errors are one line, with the nearest right flag."""

import argparse
import dataclasses
import itertools
import os
import pathlib
import shlex
import sys

from chainer_cifar.errors import UserError
from chainer_cifar.registry import nearest

# What other tools call it: accepted as if ours had been typed.
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
    """argparse's, but for what it does with mistakes, with ``@FILE`` and with ``--batch-size``.

    Our long flags are written with underscores; dashes in what is typed are read as such. The
    names that other tools have for a flag (`ALIASES`) mean it, too.
    """

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_args(self, args=None, namespace=None):
        # Files may stand before, between and after the flags.
        parse = self.parse_known_args
        if self._get_positional_actions():
            parse = self.parse_known_intermixed_args
        try:
            namespace, unknown = parse(args, namespace)
        except UserError:
            # A mistyped flag may be why something else is missing.
            flags = itertools.takewhile('--'.__ne__, sys.argv[1:] if args is None else args)
            self._refuse([flag for flag in flags if flag.startswith('--')])
            raise
        self._refuse(unknown)
        return namespace

    def _refuse(self, arguments):
        """Raise UserError if one of them is no flag of ours."""
        known = self._option_string_actions
        for argument in arguments:
            flag = self._ours(argument).split('=')[0]
            if flag not in known:
                if not argument.startswith('-'):
                    raise UserError(f"unexpected argument '{argument}' (see --help)")
                hint = nearest(flag, known) or ' (see --help)'
                raise UserError(f"no flag is called '{argument}'{hint}")

    def _ours(self, argument):
        """``--batch-size=a-b`` as ``--batch_size=a-b``, ``--epochs`` as ``--iter``."""
        flag, equals, value = argument.partition('=')
        if flag.startswith('--'):
            flag = '--' + flag[2:].replace('-', '_')
            known = self._option_string_actions
            if flag not in known and ALIASES.get(flag) in known:
                flag = ALIASES[flag]
        return flag + equals + value

    def _parse_optional(self, arg_string):
        # argparse asks this of each word of the command line and of files, but not after a --.
        return super()._parse_optional(self._ours(arg_string))

    def _get_values(self, action, arg_strings):
        # The value in --lr=-- is two dashes; argparse would make an empty list of it.
        if action.option_strings and action.nargs is None and arg_strings == ['--']:
            return self._get_value(action, '--')
        return super()._get_values(action, arg_strings)

    def _read_args_from_files(self, arg_strings, outer=()):
        """`arg_strings` with what is in each @FILE in its place; `outer` are those it stands in."""
        words = []
        for argument in arg_strings:
            if argument[:1] != self.fromfile_prefix_chars:
                words.append(argument)
            elif argument in outer:
                raise UserError(f'{argument}: a file of flags names itself')
            else:
                inner = _words(argument)
                words += self._read_args_from_files(inner, (*outer, argument))
        return words

    def _print_message(self, message, file=None):
        # argparse would pass over it if the help cannot be written.
        print(message, end='', file=file or sys.stdout, flush=True)

    def error(self, message):
        raise UserError(f'{message} (see --help)')


def _words(argument):
    """The words in the file that ``@FILE`` names, as a shell would read them."""
    path = pathlib.Path(argument[1:])
    if not path.is_file():
        raise UserError(f'{argument}: there is no file {path} to read flags from')
    try:
        # As Python reads the command line, so that names of files are the same here and there.
        text = os.fsdecode(path.read_text(encoding='utf-8-sig').encode())
    except UnicodeDecodeError:
        raise UserError(f'{argument}: not a text in UTF-8; save it as one') from None
    words = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if '\0' in line:
                raise ValueError('it holds a zero byte')
            words += shlex.split(line, comments=True)
        except ValueError as error:
            raise UserError(f'{argument}: line {number}: {error}: {line}') from None
    return words


def add_flags(parser, config, names=None, default=None, groups=()):
    """Flags for the fields of a dataclass such as TrainConfig.

    Args:
        parser (ArgumentParser): Where to.
        config (type): The dataclass; the metadata of its fields holds ``help``, ``short``
            and ``group``.
        names (iterable of str): The fields that get a flag; all, if not given.
        default (str): What --help says of the default; that of the field, if not given.
        groups (iterable of str): The groups that --help shows, in this order; without them, the
            flags are in one list.

    Returns:
        dict: The groups, to which more flags may be added, by their names.
    """
    groups = {name: parser.add_argument_group(name) for name in groups}
    for field in dataclasses.fields(config):
        if names is not None and field.name not in names:
            continue
        flags = [f'--{field.name}']
        if field.metadata['short']:
            flags.insert(0, field.metadata['short'])
        target = groups.get(field.metadata['group'], parser)
        if field.type is bool:
            target.add_argument(*flags, action='store_true', help=field.metadata['help'])
            continue
        told = field.default if default is None else default
        target.add_argument(
            *flags,
            type=field.type,
            metavar=field.type.__name__.upper(),
            help=field.metadata['help'].replace('%', '%%')
            + (f' (default: {told})' if told != '' else ''),
        )
    return groups
