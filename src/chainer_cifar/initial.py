"""Draw what a run needs before its first iteration: weights, split and order of the images.

The trainer begins with it; `visualize` draws it again to show what the training began with.
"""

from typing import NamedTuple

import chainer

from chainer_cifar.config import TrainConfig
from chainer_cifar.data import batches, split
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.split import Split
from chainer_cifar.data.store import Shape
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.randomness import INITIAL, seed_all


class Initial(NamedTuple):
    """The state before the first iteration; see `draw`."""

    net: chainer.Chain  # on the host, with its initial weights
    split: Split
    iterator: chainer.iterators.SerialIterator  # see batches.training_iterator


def draw(config: TrainConfig, data: Dataset, device: chainer.backend.Device) -> Initial:
    """Draw it from the seed of the run, and leave NumPy's random state as it is in training.

    Args:
        config: The flags of the run.
        data: Labels, classes and the shape of images count; their pixels do not.
        device: Where the net will live; `draw` sets its random state, too.

    Raises:
        UserError: There are fewer images than the config asks for, or the net does not take images
            of their shape.
    """
    net = draw_net(config, data.n_class, data.shape, device)
    chosen, labels = split_images(config, data), data.train_labels
    if not config.no_valid_data and not len(chosen.valid):
        raise UserError(
            f'{config.dataset}: {len(labels)} training images are too few to set some aside '
            f'for validation; give --no_valid_data'
        )
    with prefixed('--batch_size '):
        iterator = batches.training_iterator(
            chosen.train, config.batch_size, labels if config.balance == 'sampler' else None
        )
    return Initial(net, chosen, iterator)


def draw_net(
    config: TrainConfig, n_class: int, shape: Shape, device: chainer.backend.Device
) -> chainer.Chain:
    """Draw only the net with its initial weights, on the host."""
    seed_all(config.seed, INITIAL, device)
    return config.create_net(n_class, shape)


def split_images(config: TrainConfig, data: Dataset) -> Split:
    """Choose which of the training images train and which validate."""
    fold = (config.folds, config.fold) if config.folds else None
    with prefixed('--folds '):
        return split.draw(data, config.seed, not config.no_valid_data, fold)
