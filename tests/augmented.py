"""What tests of augmentation share: each step as it may be written, and a step done to images."""

import numpy as np

from chainer_cifar.data import augment

CIFAR = (3, 32, 32)

# Arguments of those that need some.
ARGUMENTS = {'rotate': 20, 'shift': 0.2, 'zoom': 0.2, 'cutout': 16, 'channel_shift': 0.2}


def written(name):
    return f'{name}({ARGUMENTS[name]})' if name in ARGUMENTS else name


EVERY = '|'.join(map(written, augment.augmentations))


def batch_of(x, xp=np):
    """Images of the labels 0 to 9 in turn, the first ones of the training images, in epoch 0."""
    index = np.arange(len(x))
    labels = xp.asarray((index % 10).astype(np.int32))
    return augment.Batch(xp.asarray(x), labels, index, 0 * index)


def augmented(text, x, rng, xp=np, **known):
    """`x`, on the host, after the steps of `text`; images only."""
    images, _ = augment.create(text, **known)(xp, batch_of(x, xp), rng)
    return images
