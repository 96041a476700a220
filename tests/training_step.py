"""One training step of a registered net, as one device or engine computes it."""

import chainer
import chainer.functions as F
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.optim import mixed
from side_by_side import random


def step(name, dtype=np.float32, device=None, shape=nets.CIFAR, scale=1.0):
    """Loss, and all gradients as one vector; of the same numbers, in any precision.

    Args:
        name (str): The net.
        dtype (type): What to compute in; np.float16 is mixed precision.
        device (chainer.backend.Device): Where; None: on the CPU.
        shape (tuple of int): ``(C, H, W)`` of the images.
        scale (float): Of the loss in the backward pass.
    """
    np.random.seed(0)
    device = device or chainer.get_device('@numpy')
    small = {'res_depth': 1} if name in nets.taking('res_depth') else {}
    half = dtype == np.float16
    with mixed.creating_nets('mixed16' if half else 'float32'):
        net = nets.create(name, shape=shape, **small)
    rng = np.random.RandomState(1)
    n = 4 if net.count_params() > 10_000_000 else 16  # the large ones take their time
    x, t = random(rng, n, *shape), rng.randint(10, size=n).astype(np.int32)
    for parameter in net.params():
        if not half:
            parameter.array = parameter.array.astype(dtype)
    net.to_device(device)
    logits = net(device.send(x.astype(dtype)))
    assert logits.dtype == dtype
    loss = F.softmax_cross_entropy(F.cast(logits, np.float32) if half else logits, device.send(t))
    net.cleargrads()
    loss.backward(loss_scale=scale)
    gradients = [
        chainer.cuda.to_cpu(parameter.grad).astype(np.promote_types(dtype, np.float32)).ravel()
        for _, parameter in sorted(net.namedparams())
    ]
    return float(loss.array), np.concatenate(gradients) / scale


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
