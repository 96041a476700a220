"""The loss that is minimised, and the accuracy that is told of it."""

from typing import Any

import chainer
import chainer.functions as F


def smoothed_cross_entropy(smoothing):
    """Cross-entropy whose target is 1 - s + s/K for the label and s/K for the other classes.

    Szegedy et al., Rethinking the Inception Architecture, 2016; 0 is plain cross-entropy.

    Args:
        smoothing (float): s, from 0 to less than 1.

    Returns:
        A function of logits ``(N, K)`` and labels, integers ``(N,)``, or each class's share of an
        image, floats ``(N, K)`` that sum to 1 (of mixed images): the mean loss in nats.
    """
    if not smoothing:
        return F.softmax_cross_entropy

    def loss(logits, labels):
        xp = chainer.backend.get_array_module(logits)
        rest = smoothing / logits.shape[1]
        if labels.ndim == 2:
            targets = (1 - smoothing) * labels + rest
        else:
            targets = xp.full(logits.shape, rest, logits.dtype)
            targets[xp.arange(len(labels)), labels] += 1 - smoothing
        return F.softmax_cross_entropy(logits, targets)

    return loss


def accuracy(logits: Any, labels: Any) -> chainer.Variable:
    """The share of images whose label gets the largest logit.

    Args:
        logits: ``(N, K)``.
        labels: Integers ``(N,)``; or shares ``(N, K)``, of which the largest is the label.
    """
    if labels.ndim == 2:
        labels = labels.argmax(axis=1).astype('int32')
    return F.accuracy(logits, labels)
