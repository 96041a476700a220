"""Every registered net, one training step: oneDNN's loss and gradients are Chainer's."""

import pytest

import chainer_onednn
from chainer_cifar import nets
from training_step import assert_agree, step


@pytest.mark.parametrize('name', nets.registry)
def test_same_loss_and_gradients(name):
    wanted = step(name)
    with chainer_onednn.enable():
        ours = step(name)
        again = step(name)
    assert (ours[0], ours[1].tobytes()) == (again[0], again[1].tobytes())
    assert_agree(name, ours, wanted)
