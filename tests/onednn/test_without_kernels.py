"""The engine by oneDNN alone, as where there was no compiler for our kernels.

Where there are kernels, no other test calls these functions; so here the engine is told of none.
"""

import chainer
import chainer.functions as F
import numpy as np
import pytest

import chainer_onednn
from chainer_onednn import dnnl, elementwise, kernels
from onednn.test_dropout import by_both
from onednn.test_elementwise import assert_keeps_what_is_not_a_number
from onednn.test_nets import with_onednn
from side_by_side import ORDERS, compare, random
from training_step import assert_agree


@pytest.fixture(autouse=True)
def ran(monkeypatch):
    """The names of oneDNN's primitives that were run."""
    with chainer_onednn.enable():
        if not chainer_onednn.is_enabled():
            pytest.skip('oneDNN cannot be used here')
    monkeypatch.setattr(kernels, 'available', lambda: False)
    names, run = set(), dnnl.Primitive.__call__

    def note(self, *arrays):
        names.add(self.name)
        run(self, *arrays)

    monkeypatch.setattr(dnnl.Primitive, '__call__', note)
    return names


@pytest.mark.parametrize(('function', 'count'), [(F.relu, 1), (F.add, 2), (F.add, 3)])
def test_more_than_a_block(ran, function, count):
    rng = np.random.RandomState(0)
    compare(function, [random(rng, elementwise.BLOCK + 77) for _ in range(count)])
    assert ran == {'binary'}


def test_relu_keeps_what_is_not_a_number(ran):
    assert_keeps_what_is_not_a_number(F.relu)
    assert ran == {'binary'}


@pytest.mark.parametrize('order', sorted(ORDERS))
def test_dropout(ran, order):
    by_both(ORDERS[order](random(np.random.RandomState(0), 16, 64, 16, 16)), 0.25)
    assert 'binary' in ran


POOLED = ((3, 2, 1, True), (2, 2, 0, False), ((2, 3), (1, 2), 1, True))


@pytest.mark.parametrize('window', POOLED)
@pytest.mark.parametrize('order', sorted(ORDERS))
def test_max_pooling(ran, order, window):
    x = random(np.random.RandomState(0), 2, 19, 9, 8)
    compare(lambda x: F.max_pooling_2d(x, *window), [x], order=order)
    assert ran == {'pooling_forward', 'pooling_backward'}


def test_indexes_of_max_pooling_are_chainers(ran):
    x = random(np.random.RandomState(0), 2, 3, 7, 5)

    def indexes(window):
        return F.max_pooling_2d(x, *window).creator_node.indexes

    wanted = [indexes(window) for window in POOLED]
    with chainer_onednn.enable():
        for window, theirs in zip(POOLED, wanted, strict=True):
            np.testing.assert_array_equal(indexes(window), theirs)
    assert ran == {'pooling_forward'}


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_max_pooling_keeps_what_is_not_finite(bad):
    """oneDNN's own loses it, and a diverged run would look like a healthy one."""
    x = random(np.random.RandomState(0), 2, 16, 6, 6)
    x[0, 3] = x[1, 0, 0, 0] = bad
    wanted = F.max_pooling_2d(x, 2).array
    with chainer_onednn.enable():
        np.testing.assert_array_equal(F.max_pooling_2d(x, 2).array, wanted)


@pytest.mark.parametrize('shape', [(4, 19, 6, 5), (32, 19)], ids=str)
@pytest.mark.parametrize('order', sorted(ORDERS))
def test_batch_normalization(ran, order, shape):
    rng = np.random.RandomState(0)
    x, gamma, beta, mean = random(rng, *shape) + 2, *(random(rng, 19) for _ in range(3))
    compare(F.batch_normalization, [x, gamma, beta], tolerance=1e-4, order=order)
    assert ran == {'batch_normalization_forward', 'batch_normalization_backward'}
    ran.clear()
    given = [x, gamma, beta, mean, np.abs(mean) + np.float32(0.1)]
    compare(F.fixed_batch_normalization, given, tolerance=1e-4, order=order)
    assert ran == {'batch_normalization_forward'}


def test_batch_normalization_of_many_numbers_that_are_not_around_zero(ran):
    """As behind a ReLU. Those of oneDNN are off by 2e-3, from 131,072 numbers a channel on."""
    x = np.maximum(random(np.random.RandomState(0), 128, 16, 32, 32), 0)
    mean, var = (f(x, (0, 2, 3), dtype='d', keepdims=True) for f in (np.mean, np.var))
    link = chainer.links.BatchNormalization(16)
    with chainer_onednn.enable():
        y = link(x).array
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + link.eps), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(link.avg_mean, 0.1 * mean.ravel(), rtol=1e-6)
    assert 'batch_normalization_forward' in ran


def test_a_net(ran):
    assert_agree(with_onednn, 'residual')
    assert ran >= {'binary', 'batch_normalization_backward', 'convolution_backward_weights'}
