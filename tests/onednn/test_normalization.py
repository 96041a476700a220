import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainer_onednn
from chainer_onednn import kernels, normalization
from side_by_side import ORDERS, compare, random


@settings(max_examples=40)
@given(
    n=st.integers(2, 5),
    channels=st.integers(1, 40),
    size=st.one_of(st.none(), st.tuples(st.integers(1, 6), st.integers(1, 6))),
    order=st.sampled_from(sorted(ORDERS)),
    relu=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_training(n, channels, size, order, relu, seed):
    rng = np.random.RandomState(seed)
    x = random(rng, n, channels, *(size or ())) + 2
    gamma, beta = 1 + 0.1 * random(rng, channels), random(rng, channels)

    def function(x, gamma, beta):
        y = F.batch_normalization(x, gamma, beta)
        return F.relu(y) if relu else y

    # The gradient of x is a small difference of large numbers; of two elements it is nothing.
    inv_std = 1 / np.sqrt(x.var(axis=(0, *range(2, x.ndim))).min() + 2e-5)
    compare(function, [x, gamma, beta], tolerance=1e-4, order=order, least=10 * inv_std)


@settings(max_examples=20)
@given(
    channels=st.integers(1, 40),
    size=st.one_of(st.none(), st.tuples(st.integers(1, 6), st.integers(1, 6))),
    order=st.sampled_from(sorted(ORDERS)),
    seed=st.integers(0, 1000),
)
def test_fixed(channels, size, order, seed):
    rng = np.random.RandomState(seed)
    vectors = [random(rng, channels) for _ in range(3)]
    compare(
        F.fixed_batch_normalization,
        [random(rng, 3, channels, *(size or ())), *vectors, np.abs(vectors[0]) + 0.1],
        tolerance=1e-4,
        order=order,
    )


def test_running_statistics():
    rng = np.random.RandomState(0)
    batches = [random(rng, 8, 16, 4, 4) + 1 for _ in range(3)]

    def statistics():
        link = L.BatchNormalization(16)
        for x in batches:
            link(x)
        return link.avg_mean, link.avg_var

    wanted = statistics()
    with chainer_onednn.enable():
        got = statistics()
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize('by_kernels', [False, True])
def test_statistics_that_go_on_before_the_backward_pass(monkeypatch, by_kernels):
    """The gradient is that of the pass in evaluation; one in training has come after it."""
    if not by_kernels:
        monkeypatch.setattr(kernels, 'available', lambda: False)
    images = random(np.random.RandomState(0), 8, 16, 4, 4)

    def gradient():
        link, x = L.BatchNormalization(16), chainer.Variable(images)
        with chainer.using_config('train', False):
            y = link(x)
        link(3 * images)
        y.grad = random(np.random.RandomState(1), *y.shape)
        y.backward()
        return x.grad

    wanted = gradient()
    with chainer_onednn.enable():
        np.testing.assert_allclose(gradient(), wanted, rtol=1e-5)


@pytest.mark.parametrize('relu', [False, True])
@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_not_a_number_spreads_alike(bad, relu):
    x = random(np.random.RandomState(0), 4, 16, 3, 3)
    x[1, 2, 0, 0] = bad

    def outputs():
        link = L.BatchNormalization(16)
        y = link(x)
        return (F.relu(y) if relu else y).array, link.avg_mean, link.avg_var

    with np.errstate(invalid='ignore'):
        wanted = outputs()
        with chainer_onednn.enable():
            got = outputs()
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))


def test_a_bad_scale_is_not_hidden_by_the_relu(engine):
    link = L.BatchNormalization(16)
    link.gamma.array[3] = np.nan
    y = F.relu(link(random(np.random.RandomState(0), 4, 16, 3, 3)))
    assert np.isnan(y.array[:, 3]).all() and np.isfinite(np.delete(y.array, 3, axis=1)).all()


def test_onednn_is_used_where_there_are_no_kernels(engine, monkeypatch):
    monkeypatch.setattr(kernels, 'available', lambda: False)
    used = []
    monkeypatch.setattr(
        normalization, '_training', lambda *key: used.append(key) or pytest.fail('seen')
    )
    with pytest.raises(pytest.fail.Exception):
        L.BatchNormalization(16)(random(np.random.RandomState(0), 4, 16, 3, 3))
    assert used


def test_other_axes_are_chainers():
    x = random(np.random.RandomState(0), 4, 3, 5, 6)
    wanted = L.BatchNormalization(axis=(0, 1), size=(5, 6))(x).array
    with chainer_onednn.enable():
        got = L.BatchNormalization(axis=(0, 1), size=(5, 6))(x).array
    np.testing.assert_array_equal(got, wanted)


def test_double_backward():
    rng = np.random.RandomState(0)
    arrays = [random(rng, 4, 3, 5, 5), random(rng, 3), random(rng, 3)]

    def second(dtype):
        x, gamma, beta = (chainer.Variable(array.astype(dtype)) for array in arrays)
        y = F.relu(F.batch_normalization(x, gamma, beta))
        (gx,) = chainer.grad([F.sum(y**2)], [x], enable_double_backprop=True)
        F.sum(gx**2).backward()
        return x.grad, gamma.grad

    with chainer_onednn.enable():
        got = second(np.float32)
    for ours, wanted in zip(got, second(np.float64), strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-3 * np.abs(wanted).max())


def test_a_single_image_is_warned_of(engine):
    with pytest.warns(UserWarning, match='no more than one sample'):
        F.batch_normalization(np.ones((1, 3, 1, 1), 'f'), np.ones(3, 'f'), np.ones(3, 'f'))
