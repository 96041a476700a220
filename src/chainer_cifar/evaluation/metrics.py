"""Loss and errors of a net on a set of images."""

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

import chainer
import chainer.functions as F
import numpy as np
from numpy.typing import NDArray

from chainer_cifar.arrays import Array, ArrayModule

TOP_5_CLASSES = 10  # of fewer, five guesses say little


class Top5Error(TypedDict, total=False):
    """What only sets of images with `TOP_5_CLASSES` or more have."""

    top5_error: float  # percent


class Errors(Top5Error):
    """How good a net is on a set of images."""

    loss: float  # mean cross-entropy, nats
    error: float  # percent, 100 x (1 - accuracy)


def loss_and_errors(
    net: chainer.Chain,
    batches: Iterable[tuple[Array, Array]],
    advance: Callable[[int], object] = lambda n: None,
) -> Errors:
    """Compute mean cross-entropy and errors over all images, in test mode.

    All images count alike, even those in a last, smaller batch.

    Args:
        net: Turns images into logits.
        batches: Pairs of images, float32 ``(N, C, H, W)``, and labels, int32 ``(N,)``, on the
            net's device.
        advance: Called with the number of images after each batch.

    Returns:
        Loss in nats and errors in percent.
    """
    # The sums stay on the device, so that it never waits for the host.
    n: int = 0
    loss: float | Array = 0.0
    # Arrays on the device, so that nobody waits for it after each batch.
    correct: Any = 0
    in_top_5: Any = 0
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        for x, t in batches:
            logits = net(x)
            n += len(t)
            mean = F.softmax_cross_entropy(logits, t).array
            loss = loss + mean.astype(np.float64) * len(t)
            correct = correct + (logits.array.argmax(axis=1) == t).sum()
            in_top_5 = in_top_5 + among_top_5(logits.array, t).sum()
            advance(len(t))
    found: Errors = {'loss': float(loss) / n, 'error': 100 * (1 - int(correct) / n)}
    if logits.shape[1] >= TOP_5_CLASSES:
        found['top5_error'] = 100 * (1 - int(in_top_5) / n)
    return found


def among_top_5(logits: Array, labels: Array) -> NDArray[np.bool_]:
    """Tell whether the label is among the five classes of the highest logits.

    Among equal logits the label's comes first.

    Args:
        logits: float ``(N, K)``; a NaN counts as higher than all else.
        labels: Integers ``(N,)``, in the same array module.

    Returns:
        bool ``(N,)``
    """
    xp: ArrayModule = chainer.backend.get_array_module(logits)
    own = logits[xp.arange(len(labels)), labels][:, None]
    higher: Array = (~(logits <= own)).sum(axis=1)
    return higher < 5
