"""A function called for many things on several threads."""

import contextlib
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainer_cifar.data import threads
from chainer_cifar.errors import UserError


@given(st.integers(0, 40), st.sampled_from([1, 2, 7]), st.sampled_from([None, 0, 1, 5]))
def test_results_are_in_order(count, jobs, ahead):
    found = list(threads.results(lambda n: n * n, range(count), 'test', jobs, ahead))
    assert found == [n * n for n in range(count)]


def test_no_more_than_may_wait_are_begun():
    begun = []
    with contextlib.closing(threads.results(begun.append, range(1000), 'test', 2, 8)) as results:
        for _ in range(5):
            next(results)
            time.sleep(0.01)  # for all threads to do what they may
            assert len(begun) <= 5 + 8
    after = len(begun)
    time.sleep(0.01)
    assert len(begun) == after


@pytest.mark.parametrize('ahead', [None, 4])
def test_an_interruption_stops_all_threads(ahead):
    before = threading.active_count()

    def stop(argument):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(threads.results(stop, range(1000), 'test', 2, ahead))
    assert threading.active_count() == before


def test_a_system_that_allows_no_more_threads(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, 'start', start)
    with pytest.raises(UserError, match='decode: the system allows no more threads'):
        list(threads.results(str, range(9), 'decode', jobs=2))
