"""One training step of a registered net, as one device or engine computes it."""

import copy
import functools

import chainer
import chainer.functions as F
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.optim import mixed
from side_by_side import random


def step(name, dtype=np.float32, device=None, shape=nets.CIFAR, scale=1.0, seed=0):
    """Loss, and all gradients as one vector; of the same numbers, in any precision.

    Args:
        name (str): The net.
        dtype (type): What to compute in; np.float16 is mixed precision.
        device (chainer.backend.Device): Where; None: on the CPU.
        shape (tuple of int): ``(C, H, W)`` of the images.
        scale (float): Of the loss in the backward pass.
        seed (int): Of the weights and the images.
    """
    device = device or chainer.get_device('@numpy')
    half = dtype == np.float16
    drawn, state = draw(name, shape, 'mixed16' if half else 'float32', seed)
    net = copy.deepcopy(drawn)
    np.random.set_state(state)
    rng = np.random.RandomState(seed + 1)
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


@functools.lru_cache(maxsize=1)
def draw(name, shape, precision, seed):
    """A net for several steps, since to draw a large one takes long; and NumPy's state after it."""
    np.random.seed(seed)
    small = {'res_depth': 1} if name in nets.taking('res_depth') else {}
    with mixed.creating_nets(precision):
        return nets.create(name, shape=shape, **small), np.random.get_state()


def assert_agree(compute, name, shape=nets.CIFAR):
    """Assert that `compute`, which is `step` elsewhere, finds what Chainer finds on a CPU."""
    (loss, got), (wanted_loss, wanted) = (
        each(name, shape=shape, seed=0) for each in (compute, step)
    )
    assert loss == pytest.approx(wanted_loss, rel=1e-4)
    if distance(got, wanted) < 0.02:
        return
    # A unit within rounding of zero falls on either side of its ReLU, and on maps of 1x1 one such
    # unit counts. So we may be farther from the exact value than Chainer, but not in most draws.
    ours, chainers = [], []
    for seed in range(5):
        if seed:
            got, wanted = (each(name, shape=shape, seed=seed)[1] for each in (compute, step))
        exact = step(name, np.float64, shape=shape, seed=seed)[1]
        ours.append(distance(got, exact))
        chainers.append(distance(wanted, exact))
        if sum(each < 0.02 for each in ours) > 2 and sum(each < 0.1 for each in chainers) > 2:
            return  # and so are the medians, whatever the other draws give
    assert np.median(ours) < max(0.02, 1.5 * np.median(chainers))
    assert np.median(chainers) < 0.1


def distance(vector, exact):
    """How far a vector is from the exact one, as a part of the exact one's length."""
    return np.linalg.norm(vector - exact) / np.linalg.norm(exact)
