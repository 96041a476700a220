"""Note in a process what no reader of an input has a reason for: programs, code, other folders.

It is Python's audit that tells (sys.addaudithook), so it sees neither what C libraries open nor
what they start; for these see `sandbox`.
"""

import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

MARK = 'canary'  # in all code that an input tries to have run

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_NEVER = (
    *('os.system', 'os.exec', 'os.posix_spawn', 'os.spawn', 'os.startfile', 'pty.spawn'),
    *('pickle.find_class', 'shutil.unpack_archive', 'ensurepip.bootstrap', 'webbrowser.open'),
)
_NETWORK = ('socket.connect', 'socket.bind', 'socket.getaddrinfo', 'socket.sendto')
_PROGRAMS = ('git',)  # which environment.py asks for the commit of a run

# Where libraries read what they need: modules, fonts, time zones, certificates.
_SYSTEM = ('/dev/null', '/dev/urandom', '/proc', '/sys', '/etc', '/usr', '/lib', '/opt', '/var/lib')


def begin(
    notes: pathlib.Path, folders: Sequence[pathlib.Path], anywhere: bool, network: bool
) -> None:
    """Write a line into the file `notes` for each such event, which goes on all the same.

    Args:
        notes: The file.
        folders: What may be read and written.
        anywhere: Files elsewhere may be read, too.
        network: The network may be used.
    """
    ours = tuple(map(str, folders))
    home = os.path.expanduser('~')
    caches = tuple(
        os.path.realpath(path)
        for path in (os.environ.get('MPLCONFIGDIR', home), f'{home}/.cache', f'{home}/.config')
    )
    source = str(pathlib.Path(__file__).resolve().parents[2])
    python = tuple({sys.prefix, sys.base_prefix, source})
    readable = (*ours, *python, *caches, f'{home}/.fonts', f'{home}/.local', *_SYSTEM)
    writable = (*ours, *caches, os.devnull)
    handle = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    busy = False  # looking at a path causes events, too

    def note(text: str) -> None:
        os.write(handle, ascii(text).encode()[:300] + b'\n')

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal busy
        if busy:
            return
        busy = True
        try:
            if event == 'open' and isinstance(arguments[0], (str, bytes)):
                path, mode, flags = arguments
                real = os.path.realpath(os.fsdecode(path))
                writes = flags & _WRITING if isinstance(flags, int) else 'r' not in str(mode)
                if writes and not _below(real, writable):
                    note(f'writes {real}')
                elif not (writes or anywhere or _below(real, readable)):
                    note(f'reads {real}')
            elif event == 'subprocess.Popen':
                program = arguments[0] or arguments[1][0]
                if os.path.basename(os.fsdecode(program)) not in _PROGRAMS:
                    note(f'starts {arguments[1]}')
            elif event in _NEVER or (event in _NETWORK and not network):
                note(f'{event} {arguments}')
            elif event == 'exec' and _is_marked(arguments[0], python):
                note(f'runs {arguments[0]!r}')
            elif event == 'ctypes.dlopen' and _below(str(arguments[0]), ours):
                note(f'loads {arguments[0]}')
        finally:
            busy = False

    sys.addaudithook(hook)


def read(notes: pathlib.Path) -> list[str]:
    """The first of the lines that a process wrote."""
    return notes.read_text().splitlines()[:3] if notes.exists() else []


def _below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(f'{folder}/') for folder in folders)


def _is_marked(code: Any, python: tuple[str, ...]) -> bool:
    told = f'{getattr(code, "co_names", "")} {getattr(code, "co_consts", "")}'
    return MARK in told and not str(getattr(code, 'co_filename', '')).startswith(python)
