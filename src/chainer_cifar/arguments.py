"""The argument parser of every command: its errors are one line, with the nearest right flag."""

import argparse
import dataclasses
import itertools
import os
import shlex
import sys

from chainer_cifar.errors import UserError
from chainer_cifar.registry import nearest

# What other tools call it.
ELSEWHERE = {
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

    Our long flags are written with underscores; dashes in what is typed are read as such.
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
            flag = _underscored(argument).split('=')[0]
            if flag not in known:
                hint = nearest(flag, known)
                if ELSEWHERE.get(flag) in known:
                    hint = f", did you mean '{ELSEWHERE[flag]}'?"
                what = 'no flag is called' if argument.startswith('-') else 'what is'
                raise UserError(f"{what} '{argument}'{hint or ' (see --help)'}")

    def _parse_optional(self, arg_string):
        # argparse asks this of each word of the command line and of files, but not after a --.
        return super()._parse_optional(_underscored(arg_string))

    def _read_args_from_files(self, arg_strings):
        for argument in arg_strings:
            path = argument[1:]
            if argument[:1] == self.fromfile_prefix_chars and not os.path.isfile(path):
                raise UserError(f'{argument}: there is no file {path} to read flags from')
        try:
            return super()._read_args_from_files(arg_strings)
        except RecursionError:
            raise UserError('a file of flags names itself') from None

    def error(self, message):
        raise UserError(f'{message} (see --help)')

    def convert_arg_line_to_args(self, arg_line):
        try:
            return shlex.split(arg_line, comments=True)
        except ValueError as error:
            raise UserError(f'a file of flags: {arg_line}: {error}') from None


def _underscored(argument):
    """``--batch-size=a-b`` as ``--batch_size=a-b``; what is no long flag, as it is."""
    flag, equals, value = argument.partition('=')
    if flag.startswith('--'):
        flag = '--' + flag[2:].replace('-', '_')
    return flag + equals + value


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
