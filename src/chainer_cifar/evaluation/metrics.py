"""Loss and error of a net on a set of images."""

import chainer
import chainer.functions as F
import numpy as np


def loss_and_error(net, batches, advance=lambda n: None):
    """Mean cross-entropy and error over all images, in test mode, without augmentation.

    Every image counts alike, also those of a last, smaller batch.

    Args:
        net: Turns images into logits.
        batches: Iterable of images, float32 ``(N, 3, 32, 32)``, and labels, int32 ``(N,)``, on the
            net's device.
        advance: Called with the number of images after each batch.

    Returns:
        (float, float): loss in nats; error in percent, 100 x (1 - accuracy).
    """
    # The sums stay on the device, which then never waits for the host.
    n, loss, correct = 0, 0.0, 0
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        for x, t in batches:
            logits = net(x)
            n += len(t)
            mean = F.softmax_cross_entropy(logits, t).array
            loss = loss + mean.astype(np.float64) * len(t)
            correct = correct + (logits.array.argmax(axis=1) == t).sum()
            advance(len(t))
    return float(loss) / n, 100 * (1 - int(correct) / n)
