"""The loss that training minimises, and the accuracy beside it."""

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
        A function from logits ``(N, K)`` and labels to the mean loss in nats. Labels are integers
        ``(N,)``, or for mixed images each class's share, floats ``(N, K)`` that sum to 1.
    """
    if not smoothing:
        return F.softmax_cross_entropy

    def loss(logits: chainer.Variable, labels: Array) -> chainer.Variable:
        xp: ArrayModule = chainer.backend.get_array_module(logits)
        rest = smoothing / logits.shape[1]
        if labels.ndim == 2:
            targets = (1 - smoothing) * labels + rest
        else:
            targets = xp.full(logits.shape, rest, logits.dtype)
            targets[xp.arange(len(labels)), labels] += 1 - smoothing
        return F.softmax_cross_entropy(logits, targets)

    return loss


def accuracy(logits: chainer.Variable, labels: Array) -> chainer.Variable:
    """Return the share of images whose label gets the largest logit.

    Args:
        logits: ``(N, K)``.
        labels: Integers ``(N,)``; or shares ``(N, K)``, of which the largest is the label.
    """
    if labels.ndim == 2:
        labels = labels.argmax(axis=1).astype('int32')
    return F.accuracy(logits, labels)
