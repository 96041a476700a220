"""The thread that computes."""

import threading
import time

import chainer
import pytest

from chainer_cifar.serving.worker import Worker

CPU = chainer.get_device('@numpy')


@pytest.fixture
def started():
    """Makes workers, and ends them."""
    workers = []

    def start(pastime=None):
        workers.append(Worker(CPU, pastime or (step for step in ())))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop(30)
        assert not worker.alive


def until(seen):
    deadline = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_jobs_are_done_in_order_by_one_thread(started):
    worker, done = started(), []

    def job(number):
        done.append(number)
        return number, threading.get_ident()

    futures = [worker.submit(lambda number=number: job(number)) for number in range(20)]
    results = [future.result(30) for future in futures]
    assert [number for number, _ in results] == done == list(range(20))
    assert len({thread for _, thread in results} | {threading.get_ident()}) == 2


def test_an_error_goes_to_who_asked(started):
    worker = started()
    failed = worker.submit(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failed.result(30)
    assert worker.submit(lambda: 5).result(30) == 5


def test_it_passes_the_time_between_jobs(started):
    steps, go_on = [], threading.Event()

    def pastime():
        for step in range(3):
            steps.append(step)
            go_on.wait(30)
            yield

    worker = started(pastime())
    until(lambda: steps)
    job = worker.submit(lambda: list(steps))
    go_on.set()
    assert job.result(30) == [0]  # before the second step
    until(lambda: len(steps) == 3)
    assert worker.submit(lambda: 5).result(30) == 5


def test_an_error_in_its_pastime_does_not_end_it(started, caplog):
    def pastime():
        yield
        raise RuntimeError('odd')

    worker = started(pastime())
    until(lambda: 'odd' in caplog.text)
    assert worker.submit(lambda: 5).result(30) == 5


def test_its_pastime_ends_in_good_order(started):
    closed, begun = [], threading.Event()

    def pastime():
        try:
            while True:
                begun.set()
                yield
        finally:
            closed.append(1)  # such as a bar of progress

    worker = started(pastime())
    assert begun.wait(30)
    worker.stop(30)
    assert closed == [1]


def test_who_left_is_passed_over(started):
    worker, begin, done = started(), threading.Event(), []
    first = worker.submit(lambda: begin.wait(30))
    second = worker.submit(lambda: done.append(2))
    assert second.cancel()
    begin.set()
    assert first.result(30) and worker.submit(lambda: done).result(30) == []
