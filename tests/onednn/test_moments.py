"""Mean and variance that a convolution finds in passing, and who uses them."""

import chainer
import chainer.links as L
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chainer_onednn import kernels, moments, pending, winograd
from onednn.test_winograd import geometries, geometry, inputs_of, spoiled
from side_by_side import random

pytestmark = pytest.mark.skipif(not kernels.available(), reason='no compiled kernels')


def measured(geo, x, w, b, threads=2):
    """The output with its moments, by the kernel; None where it does not measure."""
    run = winograd._convolution(geo, 'forward', False, threads)
    if not run.measures:
        return None
    y = spoiled(geo.y)
    found = moments.Moments(y)
    run(x, w, b, y, moments=(found.mean, found.var))
    return y, found


@settings(max_examples=40)
@given(geometries(), st.integers(1, 5), st.sampled_from([0, 1, 1000]), st.integers(0, 1000))
@example(geometry(20, 16, 32, (16, 16), 3, (1, 1)), 3, 0, 0)  # many blocks
@example(geometry(9, 16, 128, (48, 48), 3, (1, 1)), 2, 1000, 0)  # stored past the caches
@example(geometry(1, 8, 8, (1, 1), 3, (1, 1)), 4, 1, 0)  # one number a channel
def test_against_float64(geo, threads, offset, seed):
    x, w, b, _ = inputs_of(geo, seed)
    b += offset
    result = measured(geo, x, w, b, threads)
    if result is None:
        return
    y, found = result
    plain = spoiled(geo.y)
    winograd._convolution(geo, 'forward', False, threads)(x, w, b, plain)
    np.testing.assert_array_equal(y, plain)
    exact = y.astype(np.float64)
    mean, var = exact.mean(axis=(0, 2, 3)), exact.var(axis=(0, 2, 3))
    # A block's first number may be an outlier, which costs a digit.
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6, atol=5e-6 * y.std())
    np.testing.assert_allclose(found.var, var, rtol=5e-5, atol=1e-10 * offset**2)
    again = measured(geo, x, w, b, threads)[1]
    np.testing.assert_array_equal([found.mean, found.var], [again.mean, again.var])


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_what_is_not_finite(bad):
    """As the kernel that looks at the array has it."""
    geo = geometry(3, 16, 24, (9, 7), 3, (1, 1))
    x, w, b, _ = inputs_of(geo)
    b[3] = bad
    y, found = measured(geo, x, w, b)
    mean, var = np.empty((2, 24), np.float32)
    kernels.function('bn_statistics', 'pllppp')(
        y, y.size // 24, 24, mean, var, pending.scratch_for(24)
    )
    np.testing.assert_allclose(found.mean, mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.var, var, rtol=1e-5)


@pytest.fixture
def looks(engine, monkeypatch):
    """Shapes of the arrays that were looked at for their moments."""
    found, plain = [], kernels.function

    def function(name, *types):
        call = plain(name, *types)
        if name != 'bn_statistics':
            return call

        def watched(x, *rest):
            found.append(x.shape)
            call(x, *rest)

        return watched

    monkeypatch.setattr(kernels, 'function', function)
    return found


class Net(chainer.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(32, 32, 3, pad=1, nobias=True)
            self.bn = L.BatchNormalization(32)


X = random(np.random.RandomState(0), 16, 32, 16, 16)


def test_normalization_uses_them(looks):
    net = Net()
    y = net.bn(net.conv(X)).array
    assert looks == []
    mean, var = y.mean(axis=(0, 2, 3)), y.var(axis=(0, 2, 3))
    np.testing.assert_allclose([mean, var], [np.zeros(32), np.ones(32)], atol=1e-4)


def test_of_another_array_it_does_not(looks):
    net = Net()
    h = net.conv(X)
    h.array = h.array * 2 + 5
    y = net.bn(h).array
    assert looks == [h.shape]
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), np.zeros(32), atol=1e-4)


def test_of_the_same_array_changed_and_given_again_it_does_not(looks):
    net = Net()
    h = net.conv(X)
    array = h.array
    array[:, ::2] += 5
    h.array = array
    y = net.bn(h).array
    assert looks == [h.shape]
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), np.zeros(32), atol=1e-4)


def test_nothing_is_measured_outside_of_training(engine):
    net = Net()
    for config in ('train', 'enable_backprop'):
        with chainer.using_config(config, False):
            h = net.conv(X)
            assert h.creator_node is None or '_moments' not in vars(h.creator_node)
    assert moments.of(net.conv(X), X) is None
