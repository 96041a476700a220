"""Stops a run that has diverged, and warns of one that learns nothing."""

import numpy as np
from chainer.training import extension
from tqdm import tqdm

from chainer_cifar.errors import UserError
from chainer_cifar.streams import tell

# Iterations between looks at the weights on a GPU, which waits for each answer.
EVERY = 100

# Iterations by which any net has learned something of such images.
LEARNED = 100


class FailOnNonNumber(extension.Extension):
    """`require_finite` after each iteration on a CPU; on a GPU after some, and each epoch.

    Chainer's extension of this name asks for every parameter by itself, and a GPU stands still as
    often; what else a RuntimeError may be, a failure of CUDA, looks the same.
    """

    # Before all others: nothing of it is evaluated, logged or saved.
    priority = extension.PRIORITY_EDITOR + extension.PRIORITY_WRITER

    def __call__(self, trainer):
        updater = trainer.updater
        cheap = updater.device.xp is np
        if cheap or updater.is_new_epoch or updater.iteration % EVERY == 0:
            require_finite(trainer)


def require_finite(trainer):
    """UserError if the weights hold NaN or infinity; one question to the device for all of them."""
    model = trainer.updater.get_optimizer('main').target
    xp = model.xp
    finite = xp.stack([xp.isfinite(param.array).all() for param in model.params()])
    if not finite.all():
        raise UserError(
            f'training diverged: the weights hold NaN or infinity after iteration '
            f'{trainer.updater.iteration}; try a lower --lr (sgd, nesterov) or '
            f'--alpha (adam), with --overwrite'
        )


class WarnOfChance(extension.Extension):
    """Warns once, after an epoch in which the net did no better than chance in training.

    Args:
        log: Of the run.
        n_class: Number of classes.
    """

    def __init__(self, log, n_class):
        self.log = log
        self.chance = 100 * (1 - 1 / n_class)
        self.warned = False

    def __call__(self, trainer):
        row = self.log.rows[-1]
        learns = row['train_error'] < self.chance - 1
        if self.warned or learns or trainer.updater.iteration < LEARNED:
            return
        self.warned = True
        with tqdm.external_write_mode():
            tell(
                f'warning: epoch {row["epoch"]}: a train error of {row["train_error"]:.2f} % is '
                f'chance; the learning rate may be too high for images of this range (try '
                f'--normalize channel, or a lower --lr or --alpha)'
            )
