"""Let Chainer 7.8.1, the last release, import and run on today's Python, NumPy and CuPy.

    import chainer_compat  # before the first `import chainer`
    import chainer

Importing this package applies the patches; `chainer_onednn` and `chainer_cifar` import it first.
Each restores a name that Chainer reads and that its dependencies have removed since, loads the
libraries that CuPy looks for, or finds a folder for what CuPy compiles; none changes a class or a
result of Chainer. (`chainer_onednn` does replace methods of Chainer's classes, while it is
enabled.)
"""

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import os
import pathlib
import stat
import sys
import tempfile
import types
import warnings
from typing import Any, NoReturn


def apply() -> None:
    """Apply the patches; a second call does nothing."""
    if 'chainer' in sys.modules or importlib.util.find_spec('numpy') is None:
        return  # without NumPy nothing runs, and importing Chainer will say so
    _restore_numpy_names()
    _stub_environment_check()
    if importlib.util.find_spec('pkg_resources') is None:
        _stub_pkg_resources()
    if importlib.util.find_spec('cupy') is not None:
        _preload_cuda_libraries()
        _find_place_for_kernels()


def _restore_numpy_names() -> None:
    import numpy as np

    names: Any = np  # which mypy knows without what was removed

    if not hasattr(np, 'sctypes'):  # removed in NumPy 2.0; chainer.functions.as_strided
        names.sctypes = {
            'int': [np.int8, np.int16, np.int32, np.int64],
            'uint': [np.uint8, np.uint16, np.uint32, np.uint64],
            'float': [np.float16, np.float32, np.float64, np.longdouble],
            'complex': [np.complex64, np.complex128, np.clongdouble],
            'others': [bool, object, bytes, str, np.void],
        }
    if 'float' not in vars(np):  # removed in NumPy 1.24; chainer.functions.resize_images
        names.float = float


def _stub_environment_check() -> None:
    # Chainer's start-up check for clashing installs imports numpy.distutils and pkg_resources,
    # both gone from current releases.
    stub: Any = types.ModuleType('chainer._environment_check')
    stub.check = lambda: None
    sys.modules['chainer._environment_check'] = stub


def _lacks(name: str) -> NoReturn:
    # Who asks for more of pkg_resources, such as declare_namespace, is ready for its absence.
    if name.startswith('__'):
        raise AttributeError(name)
    raise ImportError(f"no '{name}' in pkg_resources, which setuptools no longer has")


def _stub_pkg_resources() -> None:
    # chainer.testing, and through it chainer.gradient_check, asks pkg_resources whether a
    # requirement is installed. setuptools 82 removed it; importlib.metadata knows the same.
    from packaging.requirements import Requirement

    stub: Any = types.ModuleType('pkg_resources')
    stub.ResolutionError = type('ResolutionError', (Exception,), {})
    stub.DistributionNotFound = type('DistributionNotFound', (stub.ResolutionError,), {})
    stub.VersionConflict = type('VersionConflict', (stub.ResolutionError,), {})

    class WorkingSet:
        def require(self, *requirements: str) -> None:
            for text in requirements:
                requirement = Requirement(text)
                try:
                    version = importlib.metadata.version(requirement.name)
                except importlib.metadata.PackageNotFoundError:
                    raise stub.DistributionNotFound(text) from None
                if not requirement.specifier.contains(version, prereleases=True):
                    raise stub.VersionConflict(f'{requirement.name} {version}, not {text}')

    stub.WorkingSet = WorkingSet
    stub.require = WorkingSet().require
    stub.__getattr__ = _lacks
    sys.modules['pkg_resources'] = stub


def _preload_cuda_libraries() -> None:
    # CuPy 13 asks the loader for libcudnn.so.8, libcublas.so.12 … by name and does not look into
    # the nvidia-* packages that pip installs them with; what is loaded already is found.
    nvidia = importlib.util.find_spec('nvidia')
    if nvidia is None:
        return
    # NCCL, for several GPUs, is not among them, and CuPy would warn of it at each start.
    warnings.filterwarnings('ignore', message=r'\s*nccl library could not be loaded')
    for root in nvidia.submodule_search_locations or ():
        # Two rounds, since a library may need one that comes later in the alphabet.
        libraries = sorted(
            path for path in pathlib.Path(root).glob('*/lib/lib*.so.*') if '.alt.' not in path.name
        )
        for library in libraries * 2:
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def _find_place_for_kernels() -> None:
    # CuPy keeps the kernels that it compiles in the home directory. Where that cannot be written,
    # as by a user whom a container does not know, CuPy 13 fails at its first kernel and CuPy 14 at
    # its import.
    name, home = 'CUPY_CACHE_DIR', os.path.expanduser('~')
    if sys.platform == 'win32' or name in os.environ:
        return
    if os.path.isabs(home) and _can_be_made(os.path.join(home, '.cupy', 'kernel_cache')):
        return
    with contextlib.suppress(OSError):
        own = os.path.join(tempfile.gettempdir(), f'cupy-{os.getuid()}')
        with contextlib.suppress(FileExistsError):
            os.mkdir(own, 0o700)
        status = os.lstat(own)
        # Others can write there, too, and a kernel is a program.
        private = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
        if private and status.st_uid == os.getuid():
            os.environ[name] = own


def _can_be_made(folder: str) -> bool:
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


apply()
