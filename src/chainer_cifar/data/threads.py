"""Call a function for many pictures on several threads; Pillow's decoders let others run."""

import collections
import concurrent.futures
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from chainer_cifar import streams
from chainer_cifar.errors import UserError
from chainer_cifar.parallel.environment import cores

T = TypeVar('T')
R = TypeVar('R')


def results(
    function: Callable[[T], R],
    arguments: Sequence[T],
    what: str,
    jobs: int | None = None,
    ahead: int | None = None,
    leave: bool = False,
) -> Generator[R, None, None]:
    """Yield what a function returns for each argument, in their order, with a bar of progress.

    Until the last one, warnings and what C libraries write to standard error are dropped. Who may
    stop before it closes the generator (`contextlib.closing`), which ends the threads.

    Args:
        function: What to call. It raises what ends all.
        arguments: For what.
        what: A word for the bar.
        jobs: How many at a time; None: as many as there are cores.
        ahead: How many results may wait to be taken, at most; None: any number.
        leave: Whether the bar stays.
    """
    pool = concurrent.futures.ThreadPoolExecutor(jobs or cores())
    waiting: collections.deque[concurrent.futures.Future[R]] = collections.deque()
    # Neither Python's filters of warnings nor a silenced stream are made for threads, so they are
    # set up for all of them.
    with (
        streams.silence() as console,
        warnings.catch_warnings(),
        streams.progress_bar(what, len(arguments), console=console, leave=leave) as bar,
    ):
        warnings.simplefilter('ignore')  # Pillow's, about odd files
        try:
            for argument in arguments:
                try:
                    waiting.append(pool.submit(function, argument))
                except RuntimeError:
                    raise UserError(
                        f'{what}: the system allows no more threads; end other programs'
                    ) from None
                if ahead is not None and len(waiting) > ahead:
                    yield waiting.popleft().result()
                    bar.update()
            while waiting:
                yield waiting.popleft().result()
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)
