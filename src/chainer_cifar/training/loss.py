"""The loss that is minimised."""

import chainer
import chainer.functions as F


def smoothed_cross_entropy(smoothing):
    """Cross-entropy whose target is 1 - s + s/K for the label and s/K for the other classes.

    Szegedy et al., Rethinking the Inception Architecture, 2016; 0 is plain cross-entropy.

    Args:
        smoothing: s, from 0 to less than 1.

    Returns:
        A function of logits ``(N, K)`` and labels, integers ``(N,)``: the mean loss in nats.
    """
    if not smoothing:
        return F.softmax_cross_entropy

    def loss(logits, labels):
        xp = chainer.backend.get_array_module(logits)
        targets = xp.full(logits.shape, smoothing / logits.shape[1], logits.dtype)
        targets[xp.arange(len(labels)), labels] += 1 - smoothing
        return F.softmax_cross_entropy(logits, targets)

    return loss
