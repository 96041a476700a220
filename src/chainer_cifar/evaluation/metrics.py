"""Loss and error of a net on a set of images."""

from collections.abc import Callable, Iterable

import chainer
import chainer.functions as F
import numpy as np

from chainer_cifar.arrays import Array


def loss_and_error(
    net: chainer.Chain,
    batches: Iterable[tuple[Array, Array]],
    advance: Callable[[int], object] = lambda n: None,
) -> tuple[float, float]:
    """Compute mean cross-entropy and error over all images, in test mode.

    All images count alike, even those in a last, smaller batch.

    Args:
        net: Turns images into logits.
        batches: Pairs of images, float32 ``(N, 3, 32, 32)``, and labels, int32 ``(N,)``, on the
            net's device.
        advance: Called with the number of images after each batch.

    Returns:
        Loss in nats, and error in percent, 100 x (1 - accuracy).
    """
    # The sums stay on the device, so that it never waits for the host.
    n: int = 0
    loss: float | Array = 0.0
    correct: int | Array = 0
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        for x, t in batches:
            logits = net(x)
            n += len(t)
            mean = F.softmax_cross_entropy(logits, t).array
            loss = loss + mean.astype(np.float64) * len(t)
            correct = correct + (logits.array.argmax(axis=1) == t).sum()
            advance(len(t))
    return float(loss) / n, 100 * (1 - int(correct) / n)
