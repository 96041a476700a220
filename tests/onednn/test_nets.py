"""Every registered net, one training step: oneDNN's loss and gradients are Chainer's."""

import chainer.functions as F
import numpy as np
import pytest

import chainer_onednn
from chainer_cifar import nets
from side_by_side import random


def step(name, dtype=np.float32, shape=nets.CIFAR):
    """Loss, and all gradients as one vector; of the same numbers, in float32 or float64."""
    np.random.seed(0)
    small = {'res_depth': 1} if name in nets.taking('res_depth') else {}
    net = nets.create(name, shape=shape, **small)
    rng = np.random.RandomState(1)
    n = 4 if net.count_params() > 10_000_000 else 16  # the large ones take their time
    x, t = random(rng, n, *shape), rng.randint(10, size=n).astype(np.int32)
    for parameter in net.params():
        parameter.array = parameter.array.astype(dtype)
    x = x.astype(dtype)
    loss = F.softmax_cross_entropy(net(x), t)
    net.cleargrads()
    loss.backward()
    gradients = [parameter.grad.ravel() for _, parameter in sorted(net.namedparams())]
    return float(loss.array), np.concatenate(gradients)


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
    wanted_loss, wanted = step(name, shape=shape)
    with chainer_onednn.enable():
        loss, got = step(name, shape=shape)
        again_loss, again = step(name, shape=shape)
    assert (loss, got.tobytes()) == (again_loss, again.tobytes())
    assert loss == pytest.approx(wanted_loss, rel=1e-4)
    # A unit within rounding of zero may fall on either side of its ReLU.
    if np.linalg.norm(got - wanted) > 0.02 * np.linalg.norm(wanted):
        # In nets so deep that Chainer is far from the exact value, too, we are no farther.
        _, exact = step(name, np.float64, shape)
        assert np.linalg.norm(got - exact) < 1.5 * np.linalg.norm(wanted - exact)
        assert np.linalg.norm(wanted - exact) < 0.1 * np.linalg.norm(exact)
