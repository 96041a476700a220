"""One thread that computes, and what it does while nobody asks it anything.

Chainer's configuration and oneDNN's primitives belong to a thread, and a net is to compute one
thing at a time. So all that needs the net is done by this thread, in the order in which it was
asked.
"""

import concurrent.futures
import logging
import queue
import threading
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import chainer

Pastime: TypeAlias = Generator[object, None, None]
_Job: TypeAlias = tuple[concurrent.futures.Future[Any], Callable[[], Any]]


class Worker:
    """The thread; it begins at once, and ends with the process or by `stop`.

    Args:
        device: Where the net is.
        pastime: Work to go on with between the jobs, a step at a time.
    """

    def __init__(
        self, device: chainer.backend.Device, pastime: Generator[object, None, None]
    ) -> None:
        self._device = device
        self._pastime: Generator[object, None, None] | None = pastime
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name='worker', daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether jobs are done."""
        return self._thread.is_alive()

    def submit(self, job: Callable[[], Any]) -> concurrent.futures.Future[Any]:
        """Have a job done after those that were submitted before; the future holds its result."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._jobs.put((future, job))
        return future

    def stop(self, seconds: float) -> None:
        """Let it end after the job that it does; wait so long for it."""
        self._ended = True
        self._jobs.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        self._device.use()
        try:
            while True:
                try:
                    job = self._jobs.get(block=self._pastime is None)
                except queue.Empty:
                    self._pass_time()
                    continue
                if job is None or self._ended:
                    return
                _do(*job)
        finally:
            if self._pastime is not None:
                self._pastime.close()  # its bar of progress goes, too

    def _pass_time(self) -> None:
        pastime = self._pastime
        if pastime is None:
            return
        try:
            next(pastime)
        except StopIteration:
            self._pastime = None
        except Exception:  # an error of ours; the server goes on, and its terminal tells
            logging.getLogger(__name__).exception('looking through the training pictures')
            self._pastime = None


def _do(future: concurrent.futures.Future[Any], job: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return  # whoever asked has left
    try:
        result = job()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
