"""The argument parser of every command: its errors are one line, with the nearest right flag."""

import argparse
import shlex

from chainer_cifar.errors import UserError
from chainer_cifar.registry import nearest


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, but for what it does with mistakes and with ``@FILE``."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, **kwargs)

    def parse_args(self, args=None, namespace=None):
        namespace, unknown = self.parse_known_args(args, namespace)
        if unknown:
            hint = nearest(unknown[0].split('=')[0], self._option_string_actions)
            raise UserError(f"no flag is called '{unknown[0]}'{hint or ' (see --help)'}")
        return namespace

    def error(self, message):
        raise UserError(f'{message} (see --help)')

    def convert_arg_line_to_args(self, arg_line):
        return shlex.split(arg_line, comments=True)
