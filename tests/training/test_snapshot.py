"""Snapshots of a run; what they hold is tested with the commands."""

import signal
import threading

from chainer_cifar.training.snapshot import Snapshot


def test_a_thread_sets_no_handlers():
    """Only the main one may, so that fit runs in a thread of a program with windows, too."""
    before, errors = signal.getsignal(signal.SIGINT), []

    def initialize_and_finalize():
        try:
            snapshot = Snapshot(None, None)
            snapshot.initialize(None)
            snapshot.finalize()
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=initialize_and_finalize)
    thread.start()
    thread.join()
    assert not errors and signal.getsignal(signal.SIGINT) == before
