"""The loss that training minimises."""

from collections.abc import Callable

import chainer
import chainer.functions as F

from chainer_cifar.arrays import Array, ArrayModule


def smoothed_cross_entropy(
    smoothing: float,
) -> Callable[[chainer.Variable, Array], chainer.Variable]:
    """Make a cross-entropy with the target 1 - s + s/K for the label, s/K for the other classes.

    Szegedy et al., Rethinking the Inception Architecture, 2016. With s = 0 it is the plain
    cross-entropy.

    Args:
        smoothing: s, from 0 to less than 1.

    Returns:
        A function from logits ``(N, K)`` and labels, integers ``(N,)``, to the mean loss in nats.
    """
    if not smoothing:
        return F.softmax_cross_entropy

    def loss(logits: chainer.Variable, labels: Array) -> chainer.Variable:
        xp: ArrayModule = chainer.backend.get_array_module(logits)
        targets = xp.full(logits.shape, smoothing / logits.shape[1], logits.dtype)
        targets[xp.arange(len(labels)), labels] += 1 - smoothing
        return F.softmax_cross_entropy(logits, targets)

    return loss
