"""Use one number of threads for everything, and run NumPy's operations on several of them."""

import concurrent.futures
import functools
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import threadpoolctl

from chainer_onednn import dnnl

BLOCK = 2**18  # elements; in smaller blocks, Python's threads wait for each other too often


def count() -> int:
    """Return how many threads oneDNN uses: OMP_NUM_THREADS, or the machine's cores."""
    return dnnl.thread_count()


def described() -> str:
    """Write `count` as ``1 thread``, ``2 threads`` …"""
    return f'{count()} thread{"s" if count() > 1 else ""}'


def quiet_blas() -> Any:
    """Keep NumPy's BLAS to one thread.

    Its threads wait busily for their next task and take the cores from oneDNN's: cnn trained at
    290 instead of 490 images/s on two cores. `linear` uses oneDNN's matrix product instead.

    Returns:
        An object whose ``restore_original_limits()`` undoes it.
    """
    # (`threadpool_limits(1, 'blas')` would, when it is undone, reset OpenMP's threads, too.)
    return threadpoolctl.ThreadpoolController().select(user_api='blas').limit(limits=1)


def in_blocks(work: Callable[[slice], object], size: int) -> None:
    """Call ``work(slice)`` for blocks that together cover ``range(size)``, on all threads.

    ``work`` should spend its time in NumPy's operations on that slice of flat arrays: NumPy lets
    other threads run meanwhile, and a block that stays in the cache makes several operations cost
    little more than one pass over the memory.
    """
    slices = [slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK)]
    workers = max(1, min(count(), len(slices)))
    shares = [slices[i::workers] for i in range(workers)]
    errors = np.geterr()  # each thread has settings of its own

    def work_through(share: Iterable[slice]) -> None:
        with np.errstate(**errors):
            for part in share:
                work(part)

    others = [_pool().submit(work_through, share) for share in shares[1:]]
    work_through(shares[0])
    for other in others:
        other.result()


@functools.cache
def _pool() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(max(1, count() - 1), 'chainer_onednn')


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_pool.cache_clear)
