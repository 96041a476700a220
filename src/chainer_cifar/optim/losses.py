"""The loss that training minimises, and the accuracy beside it."""

from collections.abc import Callable
from typing import TypeAlias

import chainer
import chainer.functions as F
import numpy as np
from numpy.typing import NDArray

from chainer_cifar.arrays import Array, ArrayModule

Loss: TypeAlias = Callable[[chainer.Variable, Array], chainer.Variable]


def smoothed_cross_entropy(smoothing: float, class_weights: Array | None = None) -> Loss:
    """Make a cross-entropy with the target 1 - s + s/K for the label, s/K for the other classes.

    Szegedy et al., Rethinking the Inception Architecture, 2016. With s = 0 it is the plain
    cross-entropy.

    Args:
        smoothing: s, from 0 to less than 1.
        class_weights: float32 ``(K,)``, on the device of the logits: by what the loss of an image
            of each class is multiplied; of a mixed image, the part of it that is each class's.

    Returns:
        A function from logits ``(N, K)`` and labels to the mean loss in nats. Labels are integers
        ``(N,)``, or for mixed images each class's share, floats ``(N, K)`` that sum to 1.
    """
    if not smoothing and class_weights is None:
        return F.softmax_cross_entropy

    def loss(logits: chainer.Variable, labels: Array) -> chainer.Variable:
        if class_weights is not None and labels.ndim == 2:
            return _of_weighted_shares(logits, labels * class_weights, smoothing)
        targets = _smoothed(labels, smoothing, logits) if smoothing else labels
        if class_weights is None:
            return F.softmax_cross_entropy(logits, targets)
        return F.mean(class_weights[labels] * F.softmax_cross_entropy(logits, targets, reduce='no'))

    return loss


def _of_weighted_shares(
    logits: chainer.Variable, shares: Array, smoothing: float
) -> chainer.Variable:
    """Compute the loss of mixed images from each class's share times its weight, ``(N, K)``."""
    targets = _smoothed(shares, smoothing, logits, shares.sum(axis=1, keepdims=True))
    # Chainer's cross-entropy takes it, in its gradient, that the targets of an image sum to 1.
    return F.mean(-F.sum(targets * F.log_softmax(logits), axis=1))


def accuracy(logits: chainer.Variable, labels: Array) -> chainer.Variable:
    """Return the share of images whose label gets the largest logit.

    Args:
        logits: ``(N, K)``.
        labels: Integers ``(N,)``; or shares ``(N, K)``, of which the largest is the label.
    """
    if labels.ndim == 2:
        labels = labels.argmax(axis=1).astype('int32')
    return F.accuracy(logits, labels)


def _smoothed(
    labels: Array, smoothing: float, logits: chainer.Variable, total: Array | float = 1
) -> Array:
    """Smooth labels or shares; `total` is what the shares of an image sum to."""
    rest = smoothing / logits.shape[1] * total
    if labels.ndim == 2:
        return (1 - smoothing) * labels + rest
    xp: ArrayModule = chainer.backend.get_array_module(logits)
    targets: Array = xp.full(logits.shape, rest, logits.dtype)
    targets[xp.arange(len(labels)), labels] += 1 - smoothing
    return targets


def balancing_weights(labels: Array, n_class: int) -> NDArray[np.float32]:
    """Compute weights that give each class as much of the loss, however rare; their mean is 1.

    Args:
        labels: Integers ``(N,)``, of the images that train.

    Returns:
        float32 ``(n_class,)``: N / (present classes x images of the class), 0 of an absent one.
    """
    counts = np.bincount(labels, minlength=n_class)
    share = len(labels) / np.count_nonzero(counts)
    return np.where(counts > 0, share / np.maximum(counts, 1), 0).astype(np.float32)
