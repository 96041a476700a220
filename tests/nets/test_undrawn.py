"""Nets without initial weights."""

import threading

import chainer
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.nets.undrawn import undrawn


def weights():
    return nets.create('simple_gap').conv2d_1.W.array


def test_weights_are_zero_and_nothing_is_drawn():
    np.random.seed(0)
    with undrawn():
        inside = weights()
    drawn = np.random.rand()
    np.random.seed(0)
    assert (np.random.rand(), inside.any(), weights().any()) == (drawn, False, True)
    assert inside.dtype == np.float32


@pytest.mark.parametrize('name', nets.registry)
def test_no_net_draws(name):
    np.random.seed(0)
    with undrawn():
        net = nets.create(name)
    drawn = np.random.rand()
    np.random.seed(0)
    assert np.random.rand() == drawn
    # What is no parameter, too: the filters of airbench.
    filters = [link.W for link in net.links() if hasattr(link, 'W')]
    assert filters and not any(getattr(W, 'array', W).any() for W in filters)


def test_the_type_is_kept():
    with undrawn(), chainer.using_config('dtype', np.float16):
        assert weights().dtype == np.float16


def test_other_threads_draw():
    found = []
    with undrawn():
        thread = threading.Thread(target=lambda: found.append(weights().any()))
        thread.start()
        thread.join()
    assert found == [True]


def test_an_error_ends_it():
    with pytest.raises(KeyError), undrawn():
        raise KeyError
    assert weights().any()
