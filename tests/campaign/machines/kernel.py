"""Ask the kernel for what no limit of Python's can do: a process without forks, other mounts."""

import ctypes
import os
import pathlib
import shutil
import struct
import subprocess

_LIBC = ctypes.CDLL(None, use_errno=True)

# Of x86-64; linux/seccomp.h, linux/filter.h, sys/mount.h.
_X86_64 = 0xC000003E
_FORK, _VFORK, _CLONE, _CLONE3 = 57, 58, 56, 435
_THREAD = 0x00010000  # a flag of clone
_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # EPERM, ENOSYS
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FLAGS = 0, 4, 16  # where in what the filter sees
_CAPABILITIES, _OVERRIDE = 0x20080522, 1  # linux/capability.h: version 3, CAP_DAC_OVERRIDE
_NEW_MOUNTS, _BIND, _REMOUNT, _READ_ONLY, _PRIVATE = 0x00020000, 4096, 32, 1, 1 << 18 | 1 << 14


def forbid_processes() -> None:
    """From now on this process may start threads, but no other process."""
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 7, _X86_64),
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 7, 0, _CLONE3),  # unknown, so that the C library takes clone
        (_EQUAL, 5, 0, _FORK),
        (_EQUAL, 4, 0, _VFORK),
        (_EQUAL, 0, 2, _CLONE),
        (_LOAD, 0, 0, _FLAGS),
        (_ANY_BIT, 0, 1, _THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _UNKNOWN),
    ]
    program = b''.join(struct.pack('HBBI', *step) for step in steps)
    content = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack('HP', len(steps), ctypes.addressof(content))
    _require(_LIBC.prctl(38, 1, 0, 0, 0))  # no new privileges
    _require(_LIBC.prctl(22, 2, filter_, 0, 0))  # seccomp, with a filter


def can_forbid_processes() -> bool:
    return os.uname().machine == 'x86_64' and hasattr(_LIBC, 'prctl')


def can_mount() -> bool:
    """May a process here have mounts of its own?"""
    unshare = shutil.which('unshare')
    if unshare is None or os.geteuid():
        return False
    return not subprocess.run([unshare, '--mount', 'true'], capture_output=True).returncode


def hide(folder: str) -> None:
    """Let this process see `folder` as an empty one that nobody can write to."""
    _own_mounts()
    _mount(b'tmpfs', folder, b'tmpfs', _READ_ONLY)


def make_read_only(folder: pathlib.Path) -> None:
    """Let this process see `folder` read-only."""
    _own_mounts()
    _mount(os.fsencode(folder), str(folder), None, _BIND)
    _mount(os.fsencode(folder), str(folder), None, _BIND | _REMOUNT | _READ_ONLY)


def obey_permissions() -> None:
    """Let this process write only where its user may, even if that is root, whom nothing stops.

    It stays root all the same: another user may see neither Python nor the folder of the campaign.
    """
    header, data = struct.pack('Ii', _CAPABILITIES, 0), ctypes.create_string_buffer(24)
    _require(_LIBC.capget(header, data))
    words = list(struct.unpack('6I', data.raw))  # effective, permitted, inheritable, twice
    words[:3] = [word & ~(1 << _OVERRIDE) for word in words[:3]]
    _LIBC.prctl(24, _OVERRIDE, 0, 0, 0)  # programs that it starts do not get it back
    _require(_LIBC.capset(header, struct.pack('6I', *words)))


def _own_mounts() -> None:
    _require(_LIBC.unshare(_NEW_MOUNTS))
    _mount(b'none', '/', None, _PRIVATE)


def _mount(source: bytes, target: str, kind: bytes | None, flags: int) -> None:
    _require(_LIBC.mount(source, os.fsencode(target), kind, ctypes.c_ulong(flags), None))


def _require(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
