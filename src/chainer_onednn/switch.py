"""Switch the engine on and off, and describe it."""

import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from chainer_onednn import dnnl, kernels, library, memory, replace, threads
from chainer_onednn.winograd import allow, is_allowed

# Each of these registers what it replaces when it is imported.
_REPLACING = (
    'activation',
    'arithmetic',
    'convolution',
    'dropout',
    'gelu',
    'graph',
    'linear',
    'normalization',
    'optimizers',
    'pooling',
    'updates',
)

_blas_limit: Any = None  # of threadpoolctl, while the engine is enabled
_told: set[str] = set()


class _Switched:
    """The context manager that `enable` and `disable` return; it undoes what that call did."""

    def __init__(self, undo: Callable[[], object] = lambda: None) -> None:
        self._undo = undo

    def __enter__(self) -> '_Switched':
        return self

    def __exit__(self, *exception: object) -> None:
        self._undo()


def enable(winograd: bool | None = None) -> _Switched:
    """Let oneDNN do Chainer's work on the CPU from now on.

    If that is impossible (no library, another kind of CPU), one line on standard error says why,
    once, and Chainer works on its own. Another line tells if our compiled kernels are missing, so
    that oneDNN does their work. With ``CHAINER_ONEDNN=0`` nothing happens.

    Args:
        winograd: Whether to compute convolutions by Winograd's algorithm, which is faster and a
            little less exact. None: yes, or as an enclosing call said. With
            ``CHAINER_ONEDNN_WINOGRAD=0`` never.

    Returns:
        A context manager; leaving it undoes what this call did.
    """
    global _blas_limit
    if os.environ.get('CHAINER_ONEDNN') == '0':
        return _Switched()
    if is_enabled():
        if winograd is None:
            return _Switched()
        return _Switched(functools.partial(allow, allow(winograd)))
    try:
        dnnl.onednn()
    except library.Unavailable as reason:
        _tell(f'Chainer runs on its own, slowly: {reason}')
        return _Switched()
    if kernels.wanted() and not kernels.available():
        _tell(f'no kernels, so slower: {kernels.missing()}; to build them: {kernels.COMMAND}')
    for module in _REPLACING:
        importlib.import_module(f'chainer_onednn.{module}')
    allow(winograd is not False)
    memory.keep_freed()
    _blas_limit = threads.quiet_blas()
    replace.install()
    return _Switched(disable)


def _tell(line: str) -> None:
    if line not in _told:
        print(f'chainer_onednn: {line}', file=sys.stderr)
        _told.add(line)


def disable() -> _Switched:
    """Give Chainer its own code back. Arrays, nets and graphs from before remain valid.

    Returns:
        A context manager; leaving it undoes what this call did.
    """
    global _blas_limit
    if not is_enabled():
        return _Switched()
    importlib.import_module('chainer_onednn.graph').settle_all()
    replace.remove()
    _blas_limit.restore_original_limits()
    _blas_limit = None
    return _Switched(functools.partial(enable, is_allowed()))


def is_enabled() -> bool:
    """Say whether oneDNN does Chainer's work now."""
    return _blas_limit is not None


def describe() -> str | None:
    """Describe the engine, as ``oneDNN 3.2.0 (AVX2, 8 threads), kernels``; None if not enabled.

    The text ends with ``direct convolution`` if Winograd's algorithm is switched off.
    """
    if not is_enabled():
        return None
    handle = dnnl.onednn().handle
    version = library.version_text(handle)
    own = 'kernels' if kernels.available() else 'no kernels'
    if kernels.available() and not is_allowed():
        own += ', direct convolution'
    return f'oneDNN {version} ({library.instruction_set(handle)}, {threads.described()}), {own}'
