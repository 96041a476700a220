"""The model of benchmarks/parallel.py: what is fitted to its own times is what made them."""

import importlib
import pathlib

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / 'benchmarks'


@pytest.fixture
def parallel(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module('parallel')


def test_fit_finds_latency_and_bandwidth(parallel):
    times = {
        count: {size: parallel.model(count, size, 2e-3, 5e6) for size in (16, 1024, 1 << 20)}
        for count in (2, 4)
    }
    assert parallel.fit(times) == pytest.approx((2e-3, 5e6))


def test_fit_takes_a_time_that_is_too_short_as_seriously_as_one_that_is_too_long(parallel):
    times = {2: {16: 1e-5}, 4: {16: 1e-3}}
    latency, _ = parallel.fit(times)
    between = [parallel.model(count, 16, latency, 1e12) for count in (2, 4)]
    assert 1e-5 / between[0] == pytest.approx(between[1] / 1e-3, rel=0.05)


def test_a_message_of_two_processes(parallel):
    # One message each way, twice; all bytes travel once.
    assert parallel.model(2, 10**6, 1e-3, 1e6) == pytest.approx(2 * 1e-3 + 1)


def test_prediction(parallel):
    row = {'seconds': {'2x1': 1.0}, 'share_of_communication': 0.1, 'bytes': 10**6}
    found = parallel.predict(row, 0, 1e6)
    assert found[8]['efficiency'] == pytest.approx(0.9 / (0.9 + 1.75))
    assert found[1024]['seconds'] > found[64]['seconds'] > found[8]['seconds']
