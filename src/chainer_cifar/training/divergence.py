"""Stops a run that has diverged, before anything of it is evaluated, logged or saved."""

import numpy as np
from chainer.training import extension

from chainer_cifar.errors import UserError

# Iterations between looks at the weights on a GPU, which waits for each answer.
EVERY = 100


class FailOnNonNumber(extension.Extension):
    """`require_finite` after each iteration on a CPU; on a GPU after some, and each epoch.

    Chainer's extension of this name asks for every parameter by itself, and a GPU stands still as
    often; what else a RuntimeError may be, a failure of CUDA, looks the same.
    """

    # Before all others.
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
