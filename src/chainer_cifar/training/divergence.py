"""Stop a run that has diverged, and warn of one that learns nothing."""

import contextlib
import warnings
from collections.abc import Iterator

import chainer
import numpy as np
from chainer.training import extension
from tqdm import tqdm

from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import Diverged
from chainer_cifar.parallel import world
from chainer_cifar.streams import tell
from chainer_cifar.training.log import Log

# Iterations between two checks of the weights on a GPU, each of which makes it wait.
EVERY = 100

# Iterations after which any net has learned something.
LEARNED = 100


class FailOnNonNumber(extension.Extension):
    """Call `require_finite` after each iteration on a CPU; on a GPU after some, and each epoch.

    Chainer's extension of this name checks each parameter on its own, which makes a GPU wait as
    many times. It raises a RuntimeError, which looks like a failure of CUDA.

    Args:
        net: The net that is trained.
    """

    # Before all others, so that nobody evaluates, logs or saves such weights.
    priority = extension.PRIORITY_EDITOR + extension.PRIORITY_WRITER

    def __init__(self, net: chainer.Chain) -> None:
        self.net = net

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        updater = trainer.updater
        cheap = updater.device.xp is np
        if cheap or updater.is_new_epoch or updater.iteration % EVERY == 0:
            require_finite(self.net, updater.iteration)


def quiet_numbers() -> np.errstate:
    """Keep NumPy from warning in a training; what matters of it is told here, once.

    Weights that overflow are told of by `FailOnNonNumber`. To clip gradients, Chainer divides by
    their norm, which may be 0.
    """
    return np.errstate(over='ignore', invalid='ignore', divide='ignore')


def require_finite(net: chainer.Link, iteration: int) -> None:
    """Raise Diverged if the weights hold NaN or infinity; the device answers once for all."""
    xp = net.xp
    finite = xp.stack([xp.isfinite(param.array).all() for param in net.params()])
    if not finite.all():
        raise Diverged(
            f'training diverged: the weights hold NaN or infinity after iteration '
            f'{iteration}; try a lower --lr (sgd, nesterov) or '
            f'--alpha (adam, adamw), with --overwrite'
        )


class WarnOfChance(extension.Extension):
    """Warn once, after an epoch in which the net did no better than chance in training.

    Args:
        log: The log of the run.
        n_class: Number of classes.
    """

    def __init__(self, log: Log, n_class: int) -> None:
        self.log = log
        self.chance = 100 * (1 - 1 / n_class)
        self.warned = False

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        row = self.log.rows[-1]
        learns = row['train_error'] < self.chance - 1
        if self.warned or learns or trainer.updater.iteration < LEARNED:
            return
        self.warned = True
        with tqdm.external_write_mode():
            tell(
                f'warning: epoch {row["epoch"]}: a train error of {row["train_error"]:.2f} % is no '
                f'better than chance; the learning rate may be too high for images of this range '
                f'(try --normalize channel, or a lower --lr or --alpha)'
            )


@contextlib.contextmanager
def single_values_told(config: TrainConfig) -> Iterator[None]:
    """Warn if, in the block, batch normalization gets one value of each channel, and so gives beta.

    Chainer has a warning for it, with the CPU engine, too; `streams.prepare` hides it, as it is for
    programmers.

    Args:
        config: The flags, of which some can be changed against it.
    """
    with warnings.catch_warnings(record=True) as found:
        warnings.filterwarnings('always', _SINGLE, UserWarning)
        yield
    others = [each for each in found if not str(each.message).startswith(_SINGLE)]
    for each in others:
        warnings.showwarning(each.message, each.category, each.filename, each.lineno)
    parallel = world.current.size > 1
    over_all = parallel and config.sync_bn  # Chainer sees those of this process only
    if len(others) == len(found) or over_all or not world.current.first:
        return
    advice = ['a larger --batch_size']
    if config.accumulate > 1:
        advice.append('a smaller --accumulate')
    if parallel:
        advice.append('--sync_bn')
    with tqdm.external_write_mode():
        tell(
            'warning: batch normalization gets one value of each channel: what it gives is the '
            f'same for any image, so the net learns little; give {" or ".join(advice)}'
        )


_SINGLE = 'A batch with no more than one sample'  # how Chainer's warning begins
