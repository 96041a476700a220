"""Every registered net, one training step: oneDNN's loss and gradients are Chainer's."""

import functools

import pytest

import chainer_onednn
from chainer_cifar import nets
from training_step import assert_agree, step

SIZES = [
    ('cnnbn', (1, 28, 28)),
    ('simple', (1, 28, 28)),
    ('airbench94', (1, 28, 28)),
    ('conv10', (3, 48, 42)),
    ('residual', (3, 48, 42)),
    ('vgg_no_fc', (3, 48, 42)),
    ('mobilenet_v2', (3, 96, 96)),
]


@pytest.mark.parametrize(
    ('name', 'shape'), [*((name, nets.CIFAR) for name in nets.registry), *SIZES], ids=str
)
def test_same_loss_and_gradients(name, shape):
    once = functools.cache(with_onednn)  # the same step is compared with Chainer's
    first, again = (each(name, shape=shape, seed=0) for each in (once, with_onednn))
    assert (first[0], first[1].tobytes()) == (again[0], again[1].tobytes())
    assert_agree(once, name, shape)


def with_onednn(*args, **kwargs):
    with chainer_onednn.enable():
        return step(*args, **kwargs)
