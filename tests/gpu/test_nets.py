"""Every registered net: a GPU's loss, gradients and logits are the CPU's."""

import functools

import chainer
import numpy as np
import pytest

from chainer_cifar import nets
from side_by_side import random
from training_step import assert_agree, step

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize('name', nets.registry)
def test_same_loss_and_gradients(name, gpu, numpy_draws):
    assert_agree(functools.partial(step, device=gpu), name)


@pytest.mark.parametrize('name', nets.registry)
def test_mixed_precision_has_nearly_the_same(name, gpu, numpy_draws):
    loss, got = step(name, np.float16, gpu, scale=64)
    wanted_loss, wanted = step(name)
    assert loss == pytest.approx(wanted_loss, rel=0.02)
    # On a CPU the worst were the deep nets of depthwise convolutions, on maps of 1x1: 0.63.
    assert got @ wanted > 0.5 * np.linalg.norm(got) * np.linalg.norm(wanted)


def logits(name, device):
    """What the net says of 4 images in test mode, after a look at others in training."""
    np.random.seed(0)
    net = nets.create(name, **({'res_depth': 1} if name in nets.taking('res_depth') else {}))
    net.to_device(device)
    rng = np.random.RandomState(1)
    with chainer.no_backprop_mode():
        net(device.send(random(rng, 4, 3, 32, 32)))  # fills the statistics of normalization
        with chainer.using_config('train', False):
            return device.xp.asarray(net(device.send(random(rng, 4, 3, 32, 32))).array)


@pytest.mark.parametrize('name', nets.registry)
def test_same_logits_in_test_mode(name, gpu, numpy_draws):
    wanted = logits(name, chainer.get_device('@numpy'))
    got = logits(name, gpu).get()
    assert np.linalg.norm(got - wanted) < 1e-3 * np.linalg.norm(wanted)


def test_dropout_follows_the_seed_and_drops_its_share(gpu):
    from chainer_cifar.nets.blocks import dropout
    from chainer_cifar.randomness import seed_all

    x = gpu.xp.ones((100, 1000), np.float32)

    def dropped(seed, iteration):
        seed_all(seed, iteration, gpu)
        return dropout(x, 0.25).array.get()

    once = dropped(1, 5)
    assert abs((once == 0).mean() - 0.25) < 0.007  # five standard deviations
    np.testing.assert_allclose(once[once != 0], 1 / 0.75, rtol=1e-6)
    np.testing.assert_array_equal(dropped(1, 5), once)
    for other in (dropped(2, 5), dropped(1, 6)):
        assert not np.array_equal(other, once)
