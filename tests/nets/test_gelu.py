"""GELU against SciPy and finite differences, by Chainer and by the engine."""

import chainer
import numpy as np
import pytest
from scipy import stats

import chainer_onednn
from chainer_cifar.nets.gelu import gelu


@pytest.fixture(params=['chainer', 'onednn'])
def either_engine(request):
    if request.param == 'onednn':
        with chainer_onednn.enable():
            yield
    else:
        chainer_onednn.disable()
        yield


def values(*shape):
    return (3 * np.random.RandomState(0).randn(*shape)).astype(np.float32)


@pytest.mark.parametrize('shape', [(4, 24, 5, 5), (7, 3), (1,), (2, 3, 1, 1)])
def test_against_the_normal_distribution(either_engine, shape):
    x, gy = chainer.Variable(values(*shape)), values(*shape)[::-1].copy()
    y = gelu(x)
    exact = x.array.astype(np.float64)
    assert y.dtype == np.float32 and y.shape == shape
    np.testing.assert_allclose(y.array, exact * stats.norm.cdf(exact), atol=5e-6)
    y.grad = gy
    y.backward()
    slope = stats.norm.cdf(exact) + exact * stats.norm.pdf(exact)
    assert x.grad.dtype == np.float32
    np.testing.assert_allclose(x.grad, gy * slope, atol=2e-5)


def test_of_an_intermediate_array(either_engine):
    x = chainer.Variable(values(2, 16, 6, 6))
    bn = chainer.links.BatchNormalization(16)
    bn.cleargrads()
    chainer.functions.sum(gelu(gelu(bn(x)) + x) ** 2).backward()
    mean, std = (f(x.array.astype(np.float64), (0, 2, 3), keepdims=True) for f in (np.mean, np.std))
    h = (x.array - mean) / np.sqrt(std**2 + 2e-5)
    h = h * stats.norm.cdf(h) + x.array
    expected = 2 * h * stats.norm.cdf(h) * (stats.norm.cdf(h) + h * stats.norm.pdf(h))
    # What reaches beta: the gradient passes the first GELU on its way there.
    n = (x.array - mean) / np.sqrt(std**2 + 2e-5)
    slope = stats.norm.cdf(n) + n * stats.norm.pdf(n)
    beta = (expected * slope).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(bn.beta.grad, beta, rtol=1e-3, atol=1e-2)


def test_float64_and_what_is_not_finite(either_engine):
    x = np.array([-np.inf, np.inf, np.nan, -40.0, 40.0])
    with np.errstate(invalid='ignore'):
        for dtype in (np.float64, np.float32):
            y = gelu(x.astype(dtype)).array
            assert y.dtype == dtype
            # oneDNN makes NaN of infinity: at least it is no number either.
            assert not np.isfinite(y[1:3]).any()
            np.testing.assert_array_equal(y[3:], [0, 40])


def test_the_engine_does_it(monkeypatch):
    from chainer_onednn import gelu as of_engine

    called = []
    monkeypatch.setattr(of_engine.elementwise, 'flat', lambda *a: called.append(a) or [])
    with chainer_onednn.enable(), pytest.raises(ValueError):
        gelu(values(20, 3))
    assert called
