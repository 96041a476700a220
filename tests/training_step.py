"""One training step of a registered net, as one device or engine computes it."""

import chainer
import chainer.functions as F
import numpy as np
import pytest

from chainer_cifar import nets
from side_by_side import random


def step(name, dtype=np.float32, device=None, shape=nets.CIFAR):
    """Loss, and all gradients as one vector; of the same numbers, in float32 or float64.

    Args:
        name (str): The net.
        dtype (type): What to compute in.
        device (chainer.backend.Device): Where; None: on the CPU.
        shape (tuple of int): ``(C, H, W)`` of the images.
    """
    np.random.seed(0)
    device = device or chainer.get_device('@numpy')
    small = {'res_depth': 1} if name in nets.taking('res_depth') else {}
    net = nets.create(name, shape=shape, **small)
    rng = np.random.RandomState(1)
    n = 4 if net.count_params() > 10_000_000 else 16  # the large ones take their time
    x, t = random(rng, n, *shape), rng.randint(10, size=n).astype(np.int32)
    for parameter in net.params():
        parameter.array = parameter.array.astype(dtype)
    net.to_device(device)
    loss = F.softmax_cross_entropy(net(device.send(x.astype(dtype))), device.send(t))
    net.cleargrads()
    loss.backward()
    gradients = [
        chainer.cuda.to_cpu(parameter.grad).ravel() for _, parameter in sorted(net.namedparams())
    ]
    return float(loss.array), np.concatenate(gradients)


def assert_agree(name, ours, wanted, shape=nets.CIFAR):
    """Assert that what `step` returned for a net is what Chainer returned on a CPU."""
    (loss, got), (wanted_loss, wanted) = ours, wanted
    assert loss == pytest.approx(wanted_loss, rel=1e-4)
    # A unit within rounding of zero may fall on either side of its ReLU.
    if np.linalg.norm(got - wanted) > 0.02 * np.linalg.norm(wanted):
        # In nets so deep that Chainer is far from the exact value, too, we are no farther.
        _, exact = step(name, np.float64, shape=shape)
        assert np.linalg.norm(got - exact) < 1.5 * np.linalg.norm(wanted - exact)
        assert np.linalg.norm(wanted - exact) < 0.1 * np.linalg.norm(exact)
