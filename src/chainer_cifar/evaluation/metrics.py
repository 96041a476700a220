"""Loss and errors of a net on a set of images."""

import functools
from collections.abc import Callable, Iterable
from typing import TypedDict

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
    gather: Callable[[Array], Array] = lambda sums: sums,
) -> Errors:
    """Compute mean cross-entropy and errors over all images, in test mode.

    All images count alike, even those in a last, smaller batch.

    Args:
        net: Turns images into logits.
        batches: Pairs of images, float32 ``(N, C, H, W)``, and labels, int32 ``(N,)``, on the
            net's device.
        advance: Called with the number of images after each batch.
        gather: Given the sums of these batches, float64 ``(batches, 5)``, returns those of all
            batches, where other processes compute the others.

    Returns:
        Loss in nats and errors in percent.
    """
    # The sums of each batch stay on the device, so that nobody waits for it after each batch.
    sums: list[Array] = []
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        for x, t in batches:
            logits = net(x)
            xp: ArrayModule = chainer.backend.get_array_module(logits)
            n = len(t)
            loss = F.softmax_cross_entropy(logits, t).array.astype(np.float64) * n
            correct = (logits.array.argmax(axis=1) == t).sum()
            in_top_5 = among_top_5(logits.array, t).sum()
            counts = xp.asarray([n, logits.shape[1]], np.float64)
            own = xp.stack([loss, correct.astype(np.float64), in_top_5.astype(np.float64)])
            sums.append(xp.concatenate([own, counts]))
            advance(n)
    table = gather(np.array([chainer.cuda.to_cpu(row) for row in sums]).reshape(-1, 5))
    # One after the other, so that the rounding does not depend on who computed what.
    total = functools.reduce(np.add, table)
    n, n_class = int(total[3]), int(table[0, 4])
    found: Errors = {'loss': float(total[0]) / n, 'error': 100 * (1 - int(total[1]) / n)}
    if n_class >= TOP_5_CLASSES:
        found['top5_error'] = 100 * (1 - int(total[2]) / n)
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
