"""Switch the engine on and off, and describe it."""

import importlib
import os
import sys
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


class _Enabled:
    """The context manager that `enable` returns; it undoes what that call did."""

    def __init__(self, began: bool, winograd_before: bool | None = None) -> None:
        self._began = began
        self._winograd_before = winograd_before

    def __enter__(self) -> '_Enabled':
        return self

    def __exit__(self, *exception: object) -> None:
        if self._began:
            disable()
        elif self._winograd_before is not None:
            allow(self._winograd_before)


def enable(winograd: bool | None = None) -> _Enabled:
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
        return _Enabled(began=False)
    if is_enabled():
        return _Enabled(began=False, winograd_before=None if winograd is None else allow(winograd))
    try:
        dnnl.onednn()
    except library.Unavailable as reason:
        _tell(f'Chainer runs on its own, slowly: {reason}')
        return _Enabled(began=False)
    if kernels.wanted() and not kernels.available():
        _tell(f'no kernels, so slower: {kernels.missing()}; to build them: {kernels.COMMAND}')
    for module in _REPLACING:
        importlib.import_module(f'chainer_onednn.{module}')
    allow(winograd is not False)
    memory.keep_freed()
    _blas_limit = threads.quiet_blas()
    replace.install()
    return _Enabled(began=True)


def _tell(line: str) -> None:
    if line not in _told:
        print(f'chainer_onednn: {line}', file=sys.stderr)
        _told.add(line)


class _Disabled:
    """The context manager that `disable` returns; it undoes what that call did."""

    def __init__(self, winograd_before: bool | None) -> None:
        self._winograd_before = winograd_before

    def __enter__(self) -> '_Disabled':
        return self

    def __exit__(self, *exception: object) -> None:
        if self._winograd_before is not None:
            enable(self._winograd_before)


def disable() -> _Disabled:
    """Give Chainer its own code back. Arrays, nets and graphs from before remain valid.

    Returns:
        A context manager; leaving it undoes what this call did.
    """
    global _blas_limit
    if not is_enabled():
        return _Disabled(winograd_before=None)
    importlib.import_module('chainer_onednn.graph').settle_all()
    replace.remove()
    _blas_limit.restore_original_limits()
    _blas_limit = None
    return _Disabled(winograd_before=is_allowed())


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
