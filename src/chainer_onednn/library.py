"""Find and load oneDNN's shared library, or say in one line why that is impossible."""

import ctypes
import importlib.metadata
import os
import pathlib
import platform

PACKAGE = 'onednn-cpu-gomp'  # on PyPI: oneDNN for CPUs with GNU OpenMP and nothing else
VARIABLE = 'CHAINER_ONEDNN_LIBRARY'  # the path of another build of oneDNN 3

AVX2 = 0x07  # dnnl_cpu_isa_avx2; wider sets contain its bits
INSTRUCTION_SETS = {
    0x00: 'none',
    0x01: 'SSE4.1',
    0x03: 'AVX',
    0x07: 'AVX2',
    0x0F: 'AVX2 with VNNI',
    0x1F: 'AVX2 with VNNI 2',
    0x27: 'AVX-512',
    0x67: 'AVX-512 with VNNI',
    0xE7: 'AVX-512 with bfloat16',
    0x1EF: 'AVX-512 with float16',
    0xFEF: 'AVX-512 with AMX',
    0x1FEF: 'AVX-512 with AMX float16',
}


class Unavailable(Exception):
    """oneDNN is of no use here; the message is one line that says why."""


class _Version(ctypes.Structure):
    _fields_ = (
        ('major', ctypes.c_int),
        ('minor', ctypes.c_int),
        ('patch', ctypes.c_int),
        ('hash', ctypes.c_char_p),
        ('cpu_runtime', ctypes.c_uint),
        ('gpu_runtime', ctypes.c_uint),
    )


def load() -> tuple[ctypes.CDLL, str]:
    """Load oneDNN.

    Returns:
        The library, and the path that it was loaded from.

    Raises:
        Unavailable: There is no library, it is a wrong one, or it is slow on this CPU.
    """
    if platform.machine() not in ('x86_64', 'AMD64'):
        raise Unavailable(f'{platform.machine()} is not x86-64')
    library, path = _open()
    if version(library)[0] != 3:
        raise Unavailable(f'{path} is oneDNN {version_text(library)}, and version 3 is needed')
    if not hasattr(library, 'omp_get_max_threads'):
        raise Unavailable(f'{path} was not built for OpenMP')
    if library.dnnl_get_effective_cpu_isa() & AVX2 != AVX2:
        raise Unavailable('this CPU has no AVX2')
    return library, path


def version(library: ctypes.CDLL) -> tuple[int, int, int]:
    """Return ``(major, minor, patch)`` of a loaded library."""
    library.dnnl_version.restype = ctypes.POINTER(_Version)
    found = library.dnnl_version().contents
    return found.major, found.minor, found.patch


def version_text(library: ctypes.CDLL) -> str:
    """Return the version as text, such as ``3.2.0``."""
    return '.'.join(map(str, version(library)))


def instruction_set(library: ctypes.CDLL) -> str:
    """Name the widest instruction set that oneDNN uses on this CPU."""
    return INSTRUCTION_SETS.get(library.dnnl_get_effective_cpu_isa(), 'unknown')


def _open() -> tuple[ctypes.CDLL, str]:
    chosen = os.environ.get(VARIABLE)
    reasons = []
    for path in [chosen] if chosen else _candidates():
        try:
            library = ctypes.CDLL(path)
            library.dnnl_version  # noqa: B018 - is it oneDNN at all?
            return library, path
        except (OSError, AttributeError) as error:
            reasons.append(str(error))
    if chosen:
        raise Unavailable(f'{VARIABLE}: {reasons[0]}')
    # A file that does not load (libgomp.so.1 may be missing) says more than a missing one.
    raise Unavailable(reasons[0] if len(reasons) > 1 else f'no library (pip install {PACKAGE})')


def _candidates() -> list[str]:
    # The wheel puts libdnnl.so.3 into <prefix>/lib, wherever that is for this installation.
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    paths = [pathlib.Path(file.locate()) for file in files if file.name == 'libdnnl.so.3']
    found = [str(path.resolve()) for path in paths]
    return [*found, 'libdnnl.so.3']
