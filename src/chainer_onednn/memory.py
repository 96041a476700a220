"""Reuse large blocks of freed memory, and get new ones in huge pages.

Both work with glibc on Linux and do nothing elsewhere.
"""

import contextlib
import ctypes
import mmap
from collections.abc import Callable

LARGE = 2**20  # bytes, from which on `advise` is worth its call

_MISSING = AttributeError, OSError, TypeError  # macOS, musl, Windows


def keep_freed() -> None:
    """Tell glibc to keep and reuse large blocks.

    By default each array of more than a few hundred kB comes as fresh pages from the kernel and
    goes back at once. Clearing the pages takes as long as many operations on the array.
    """
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # <malloc.h>
    with contextlib.suppress(*_MISSING):
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
        libc.mallopt(m_top_pad, 64 * 2**20)
        _heap.start(libc)


def advise() -> None:
    """Ask for huge pages where the heap has grown; call it between getting and using memory.

    With pages of 4 kB, a pass over an image array spends part of its time looking up addresses.
    """
    _heap.advise()


class _Heap:
    """The process's heap, as far as it goes now; a fork inherits the advice with the pages."""

    def __init__(self) -> None:
        self._end: int | None = None  # until somebody asks for huge pages

    def start(self, libc: ctypes.CDLL) -> None:
        libc.sbrk.restype = ctypes.c_void_p
        self._sbrk: Callable[[int], int] = libc.sbrk
        self._madvise = libc.madvise
        self._madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        if self._end is None:
            self._end = self._sbrk(0)

    def advise(self) -> None:
        if self._end is None or (end := self._sbrk(0)) <= self._end:
            return
        start = self._end - self._end % mmap.PAGESIZE
        self._madvise(start, end - start, mmap.MADV_HUGEPAGE)
        self._end = end


_heap = _Heap()
