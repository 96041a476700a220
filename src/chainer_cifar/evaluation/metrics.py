"""Loss and errors of a net on a set of images."""

from typing import Any

import chainer
import chainer.functions as F
import numpy as np

TOP_5_CLASSES = 10  # of fewer, five guesses say little


def loss_and_errors(net, batches, advance=lambda n: None):
    """Mean cross-entropy and errors over all images, in test mode, without augmentation.

    Every image counts alike, also those of a last, smaller batch.

    Args:
        net (chainer.Chain): Turns images into logits.
        batches: Iterable of images, float32 ``(N, 3, 32, 32)``, and labels, int32 ``(N,)``, on the
            net's device.
        advance: Called with the number of images after each batch.

    Returns:
        dict: ``loss`` in nats; ``error`` in percent, 100 x (1 - accuracy); and ``top5_error``,
        where there are `TOP_5_CLASSES` or more.
    """
    # The sums stay on the device, which then never waits for the host.
    n, loss, correct, in_top_5 = 0, 0.0, 0, 0
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        for x, t in batches:
            logits = net(x)
            n += len(t)
            mean = F.softmax_cross_entropy(logits, t).array
            loss = loss + mean.astype(np.float64) * len(t)
            correct = correct + (logits.array.argmax(axis=1) == t).sum()
            in_top_5 = in_top_5 + among_top_5(logits.array, t).sum()
            advance(len(t))
    found = {'loss': float(loss) / n, 'error': 100 * (1 - int(correct) / n)}
    if logits.shape[1] >= TOP_5_CLASSES:
        found['top5_error'] = 100 * (1 - int(in_top_5) / n)
    return found


def among_top_5(logits: Any, labels: Any) -> Any:
    """Is the label among the five classes of the highest logits? Of equal ones it comes first.

    Args:
        logits: float ``(N, K)``; a NaN counts as higher than all else.
        labels: Integers ``(N,)``, in the same array module.

    Returns:
        bool ``(N,)``
    """
    xp = chainer.backend.get_array_module(logits)
    own = logits[xp.arange(len(labels)), labels][:, None]
    return (~(logits <= own)).sum(axis=1) < 5
