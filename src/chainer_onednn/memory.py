"""Let freed memory be used again instead of going back to the kernel."""

import contextlib
import ctypes


def keep_freed():
    """Tell glibc to keep and reuse large blocks; elsewhere, do nothing.

    By default each array of more than a few hundred kB comes as fresh pages from the kernel and is
    given back at once. Clearing the pages costs as much as many an operation on the array.
    """
    m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # <malloc.h>
    with contextlib.suppress(AttributeError, OSError, TypeError):  # macOS, musl, Windows
        libc = ctypes.CDLL(None)
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
        libc.mallopt(m_top_pad, 64 * 2**20)
