"""Find the library of our compiled kernels for this CPU, load it and call its functions.

They are C, in the files beside this one (compile.py makes libraries of them), for AVX2 with FMA and
for AVX-512. A caller must ask `available` first, and otherwise use oneDNN or Chainer: an
installation without a compiler may have no kernels.
"""

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any

from chainer_onednn import dnnl, library
from chainer_onednn.hints import Array

VARIABLE = 'CHAINER_ONEDNN_KERNELS'  # 0: do without
COMMAND = 'python -m chainer_onednn.kernels.compile'
AVX512 = 0x27  # dnnl_cpu_isa_avx512_core; wider sets contain its bits

_OPENMP = (
    'GOMP_parallel',
    'GOMP_barrier',
    'omp_get_max_threads',
    'omp_get_num_threads',
    'omp_get_thread_num',
)


_NOTHING = ctypes.c_void_p()


class _Array:
    """An argument of a kernel: a NumPy array, whose address the kernel gets; or None."""

    @classmethod
    def from_param(cls, array: Array | None) -> ctypes.c_void_p:
        return _NOTHING if array is None else dnnl.pointer(array)


_TYPES = {
    'p': _Array,
    'i': ctypes.c_int,
    'l': ctypes.c_int64,
    'f': ctypes.c_float,
}


@functools.cache
def _load() -> tuple[Any, str | None]:
    """Return the library, or None, and why there is none, or None."""
    if not wanted():
        return None, f'{VARIABLE}=0'
    # Not at the top, or that command would find the module imported before it runs.
    from chainer_onednn.kernels import compile

    try:
        path = compile.FOLDER / f'{instruction_set()}.so'
    except library.Unavailable as reason:
        return None, str(reason)
    try:
        found = ctypes.CDLL(str(path))
        found.kernels_version.restype = found.kernels_compiler.restype = ctypes.c_char_p
        if found.kernels_version().decode() != compile.version():
            return None, f'{path.name} was built from other sources'
        openmp = [
            ctypes.cast(getattr(dnnl.onednn().handle, name), ctypes.c_void_p) for name in _OPENMP
        ]
        found.kernels_start(*openmp)
    except (OSError, AttributeError) as error:
        return None, f'{path.name} was not built' if not path.exists() else str(error)
    return found, None


def instruction_set() -> str:
    """Name the library for this CPU, ``avx2`` or ``avx512``: as wide as oneDNN itself goes.

    So ``ONEDNN_MAX_CPU_ISA=AVX2`` in the environment applies to both.
    """
    wide = dnnl.onednn().handle.dnnl_get_effective_cpu_isa() & AVX512 == AVX512
    return 'avx512' if wide else 'avx2'


def available() -> bool:
    """Say whether there are kernels to call."""
    return _load()[0] is not None


def missing() -> str | None:
    """Say in a few words why there are none; None if there are."""
    return _load()[1]


def wanted() -> bool:
    """Say whether the environment allows kernels."""
    return os.environ.get(VARIABLE) != '0'


def describe() -> str:
    """Describe them: ``avx512.so, built by GCC 12.2.0``, or ``none (avx512.so was not built)``."""
    found, reason = _load()
    if not found:
        return f'none ({reason})'
    compiler = ' '.join(found.kernels_compiler().decode().split()[:2])
    return f'{instruction_set()}.so, built by {compiler}'


@functools.cache
def function(name: str, arguments: str, result: str | None = None) -> Callable[..., Any]:
    """Return a kernel, which takes NumPy arrays and numbers and checks nothing.

    Args:
        name: The name in the C source.
        arguments: A letter for each: ``p`` array (or None), ``i`` int, ``l`` int64_t, ``f`` float.
        result: A letter for what it returns; None: nothing.
    """
    found = getattr(_load()[0], name)
    found.argtypes = [_TYPES[letter] for letter in arguments]
    found.restype = None if result is None else _TYPES[result]
    return found
