"""Pooling by cuDNN, with functions in cuDNN's place that only note what they are given."""

import gc
import types
import weakref

import chainer
import numpy as np
import pytest
from chainer.backends import cuda
from chainer.functions.pooling import max_pooling_nd, pooling_nd

from chainer_cifar import cudnn_pooling


@pytest.fixture
def calls(monkeypatch):
    """What cuDNN was asked for; Chainer's methods come back after the test."""
    calls = []

    def forward(x, y, *how):
        y[...] = 1
        calls.append(('forward', *how))

    def backward(x, y, gy, *how):
        calls.append(('backward', *how))
        return x + gy.sum()

    fake = types.SimpleNamespace(pooling_forward=forward, pooling_backward=backward)
    monkeypatch.setattr(pooling_nd, 'cudnn', fake, raising=False)
    monkeypatch.setattr(cuda, 'cupy', types.SimpleNamespace(empty=np.empty))
    function = max_pooling_nd.MaxPoolingND
    monkeypatch.setattr(function, 'get_cudnn_pool_mode', lambda self: 'max')
    monkeypatch.setattr(function, 'forward_cpu', lambda self, x: self.forward_cudnn(x))
    monkeypatch.setattr(
        max_pooling_nd.MaxPoolingNDGrad, 'forward_cpu', max_pooling_nd.MaxPoolingNDGrad.forward_gpu
    )
    for name in ('forward_cudnn', 'backward_cudnn'):
        method = getattr(pooling_nd._PoolingND, name)
        monkeypatch.setattr(pooling_nd._PoolingND, name, method)
    cudnn_pooling.mend()
    return calls


def test_pooling_does_not_outlive_its_step(calls):
    node = max_pooling_nd.MaxPoolingND(2, 2)
    gc.disable()
    try:
        node.forward_cudnn((np.zeros((1, 1, 4, 4), np.float32),))
        left = weakref.ref(node)
        del node
        assert left() is None
    finally:
        gc.enable()


def test_both_ways_ask_cudnn_for_the_same(calls):
    x = chainer.Variable(np.full((1, 1, 4, 4), 3, np.float32))
    y = chainer.functions.max_pooling_2d(x, 2)
    y.grad = np.ones_like(y.array)
    y.backward()
    how = ((2, 2), (2, 2), (0, 0), 'max')
    assert calls == [('forward', *how), ('backward', *how)]
    np.testing.assert_array_equal(y.array, np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(x.grad, np.full((1, 1, 4, 4), 3 + 4))
