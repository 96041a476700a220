"""Kinds of files: what a command writes, whatever numbers and temporary names it has meanwhile.

A train writes a snapshot with hundreds of calls, and a line of its log with four. So a fault is
drawn in two steps, first the kind of file, then the call: all kinds are hit about equally often.
"""

import re

REMOVES = '-'  # before the path of what a call removes, which makes a kind of its own

_TEMPORARY = re.compile(r'\.(.+)\.[^.]+\.tmp')  # how `atomic_write` and `temporary_folder` call it
_NUMBER = re.compile(r'[0-9]+')
_SPECIAL = re.compile(r'([].[()*+?{}|^$\\])')  # of POSIX's extended regular expressions


def kind(path: str) -> str:
    """The kind of the file with this path, such as ``models/run/snapshot-#.npz``."""
    sign = REMOVES if path.startswith(REMOVES) else ''
    names = path.removeprefix(REMOVES).split('/')
    return sign + '/'.join(_NUMBER.sub('#', _final(name)) for name in names)


def _final(name: str) -> str:
    found = _TEMPORARY.fullmatch(name)
    return found[1] if found else name


def pattern(kind: str) -> str:
    """A regular expression of POSIX for the paths of a kind."""
    sign = REMOVES if kind.startswith(REMOVES) else ''
    names = [
        _SPECIAL.sub(r'\\\1', name).replace('#', '[0-9]+')
        for name in kind.removeprefix(REMOVES).split('/')
    ]
    return sign + '/'.join(rf'\.?{name}(\.[^./]+\.tmp)?' for name in names)
