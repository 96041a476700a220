"""Convolutions by Winograd's algorithm against float64; errors are relative to the rms."""

import os
import subprocess
import sys
import threading

import chainer
import chainer.functions as F
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainer_onednn
from chainer_onednn import convolution, dnnl, kernels, winograd
from side_by_side import ORDERS, random

pytestmark = pytest.mark.skipif(not kernels.available(), reason='there are no kernels')

BOUND = {3: 1.2e-5, 5: 8e-5}  # the largest errors of random numbers, relative to their rms


def geometry(n, channels, size, kernel, pad):
    inward, outward = channels
    out = tuple(s + 2 * pad - kernel + 1 for s in size)
    shapes = (n, inward, *size), (n, outward, *out)
    return convolution.Geometry(*shapes, (kernel,) * 2, (1, 1), (pad,) * 2, (1, 1), 1)


def step(x, w, b, gy, pad, dtype=np.float32, order='channels last'):
    """Output and gradients, by whatever is enabled."""
    x, w, b = (chainer.Variable(ORDERS[order](array.astype(dtype))) for array in (x, w, b))
    y = F.convolution_2d(x, w, b, pad=pad)
    y.grad = ORDERS[order](gy.astype(dtype))
    y.backward()
    return y.array, x.grad, w.grad, b.grad


def problem(seed, n, channels, size, kernel, pad):
    rng, g = np.random.RandomState(seed), geometry(n, channels, size, kernel, pad)
    return (
        random(rng, *g.x),
        random(rng, *g.weight_shape),
        random(rng, channels[1]),
        random(rng, *g.y),
    )


@pytest.fixture
def always(monkeypatch):
    """Winograd wherever it is possible, also where it does not pay."""
    monkeypatch.setattr(winograd, 'suits', lambda g, direction: True)
    dnnl.forget()
    yield
    dnnl.forget()


channels = st.sampled_from([1, 3, 8, 15, 16, 17, 32, 40, 64, 80])


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 5),
    channels=st.tuples(channels, channels),
    size=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    kernel=st.sampled_from([3, 5]),
    pad=st.integers(0, 4),
    order=st.sampled_from(['C', 'channels last']),
    seed=st.integers(0, 1000),
)
def test_against_float64(n, channels, size, kernel, pad, order, seed):
    if pad >= kernel or min(size) + 2 * pad < kernel:
        return
    given = problem(seed, n, channels, size, kernel, pad)
    exact = step(*given, pad, np.float64)
    with pytest.MonkeyPatch.context() as patch, chainer_onednn.enable():
        patch.setattr(winograd, 'suits', lambda g, direction: True)
        got = step(*given, pad, order=order)
        again = step(*given, pad, order=order)
    for ours, same, wanted in zip(got, again, exact, strict=True):
        np.testing.assert_array_equal(ours, same)
        # Few numbers may all be near zero; what they are sums of is of the order of 1.
        scale = max(np.sqrt((wanted**2).mean()), 1)
        assert np.abs(ours - wanted).max() <= BOUND[kernel] * scale


@pytest.mark.parametrize('kernel', [3, 5])
def test_it_is_used(engine, monkeypatch, kernel):
    monkeypatch.setattr(convolution, '_forward', lambda *key: pytest.fail('direct'))
    monkeypatch.setattr(convolution, '_backward_data', lambda *key: pytest.fail('direct'))
    monkeypatch.setattr(convolution, '_backward_weights', lambda *key: pytest.fail('direct'))
    step(*problem(0, 8, (16, 32), (16, 16), kernel, 1), 1)


@pytest.mark.parametrize(
    'g',
    [
        geometry(1, (64, 64), (8, 8), 3, 1),
        geometry(64, (3, 64), (8, 8), 3, 1),
        geometry(64, (64, 64), (8, 8), 3, 1)._replace(stride=(2, 2)),
        geometry(64, (64, 64), (8, 8), 3, 1)._replace(groups=2),
        geometry(64, (64, 64), (8, 8), 1, 0),
    ],
)
def test_it_is_not_used_where_it_does_not_pay(engine, g):
    assert not any(winograd.suits(g, direction) for direction in ('forward', 'data', 'weights'))


def test_it_can_be_switched_off(monkeypatch):
    g = geometry(64, (16, 16), (8, 8), 3, 1)
    with chainer_onednn.enable(winograd=False):
        assert winograd.forward(g, True) is None
        assert chainer_onednn.describe().endswith('direct convolution')
    with chainer_onednn.enable():
        assert winograd.forward(g, True) is not None
        assert 'direct' not in chainer_onednn.describe()
        monkeypatch.setenv(winograd.VARIABLE, '0')
        assert winograd.forward(g, True) is None and winograd.backward_weights(g) is None


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('kernel', [3, 5])
def test_nothing_that_is_not_finite_is_lost(bad, kernel):
    x, w, b, gy = problem(0, 8, (16, 16), (12, 12), kernel, 1)
    x[1, 3, 5, 6] = gy[2, 4, 7, 2] = bad
    with np.errstate(invalid='ignore'):
        exact = step(x, w, b, gy, 1, np.float64)
        with chainer_onednn.enable():
            got = step(x, w, b, gy, 1)
    for ours, wanted in zip(got, exact, strict=True):
        assert not np.isfinite(ours[~np.isfinite(wanted)]).any()
    far = np.isfinite(got[0])
    assert far[0].all() and far[2:].all()  # of other images nothing
    reach = np.argwhere(~far[1].all(axis=0))
    assert np.abs(reach - [5, 6]).max() <= kernel + 4


def test_threads_of_python_at_once(engine):
    given = [problem(seed, 8, (16, 32), (9, 9), 3, 1) for seed in range(4)]
    wanted = [step(*each, 1) for each in given]
    got = [None] * 4

    def work(i):
        for _ in range(5):
            got[i] = step(*given[i], 1)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for ours, theirs in zip(got, wanted, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def evaluate(x, w):
    with chainer.no_backprop_mode():
        return F.convolution_2d(x, w, pad=1).array


def test_kept_filters_are_those_of_now(engine):
    x, w, _, _ = problem(0, 8, (16, 16), (8, 8), 3, 1)
    winograd._kept.clear()
    first = evaluate(x, w)
    np.testing.assert_array_equal(evaluate(x, w), first)
    assert len(winograd._kept) == 1
    w[3, 2, 1, 0] += 1  # in place, as an optimizer does it
    changed = evaluate(x, w)
    assert (changed != first).any()
    np.testing.assert_array_equal(changed, evaluate(x, w.copy()))


def test_kept_filters_do_not_fill_the_memory(engine, monkeypatch):
    x, w, _, _ = problem(0, 8, (16, 16), (8, 8), 3, 1)
    winograd._kept.clear()
    monkeypatch.setattr(winograd, '_KEPT', 100_000)
    filters = [w + i for i in range(4)]
    for each in filters:
        evaluate(x, each)
    assert 1 <= len(winograd._kept) < 4


def test_training_keeps_no_filters(engine):
    winograd._kept.clear()
    step(*problem(0, 8, (16, 16), (8, 8), 3, 1), 1)
    assert not winograd._kept


PROGRAM = """
import sys, numpy as np, chainer_cifar, chainer_onednn
sys.path[:0] = ['tests', 'tests/onednn']
from test_winograd import BOUND, problem, step
chainer_onednn.enable()
for kernel in 3, 5:
    given = problem(1, 9, (24, 40), (11, 14), kernel, 1)
    for ours, wanted in zip(step(*given, 1), step(*given, 1, np.float64)):
        assert np.abs(ours - wanted).max() <= BOUND[kernel] * np.sqrt((wanted**2).mean())
print(chainer_onednn.describe())
"""


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_other_threads_and_narrower_vectors(threads):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', PROGRAM],
        env={
            **os.environ,
            'OMP_NUM_THREADS': str(threads),
            'ONEDNN_MAX_CPU_ISA': 'AVX2',
            'PYTHONPATH': 'src',
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '(AVX2, ' in done.stdout and f'{threads} thread' in done.stdout
