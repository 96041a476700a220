"""Learning-rate schedules: pure functions of where the run is. To add one: a function here.

``--lr_shape`` names one or several, as in ``warmup(5)|cosine`` or ``plateau|decay(5e-4)``; their
factors are multiplied. Each takes the config and its arguments and returns ``factor(position)``: by
what the initial learning rate is multiplied at that `Position`.
"""

import bisect
import math
from typing import NamedTuple

from chainer_cifar import language
from chainer_cifar.checks import require_number, require_whole
from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry

schedules = Registry('learning-rate shape')


class Position(NamedTuple):
    """Where a run is, before an update."""

    epoch: float  # 0 at the start, 2.5 in the middle of the third
    iteration: int = 0  # updates so far
    rows: tuple = ()  # of the log (see log.py), one for each complete epoch


def create(config):
    """The product of the schedules of ``--lr_shape``, a function of a `Position`.

    Raises:
        UserError: The text is malformed, or an argument makes no sense.
    """
    factors = language.build(config.lr_shape, schedules, config)
    return lambda position: math.prod(factor(position) for factor in factors)


def forms():
    """How each is written, such as ``warmup(epochs=5, start=0.0)``, with commas."""
    return language.forms(schedules, skip=1)


@schedules.register('multistep')
def multistep(config):
    """Divided by 10 every `lr_decay_iter` epochs, or after each epoch of a list (article 000)."""
    steps = decay_epochs(config.lr_decay_iter)
    if ',' not in config.lr_decay_iter:
        period = steps[0]
        return lambda position: 0.1 ** (position.epoch // period) if period else 1.0
    steps.sort()
    return lambda position: 0.1 ** bisect.bisect_right(steps, position.epoch)


def decay_epochs(text):
    """The numbers of epochs in ``--lr_decay_iter``: one period, or a list where there is a comma.

    Raises:
        UserError: It is neither.
    """
    try:
        steps = [int(step) for step in text.split(',') if step.strip()]
    except ValueError:
        steps = []
    if not steps or min(steps) < 0:
        raise UserError(f"'{text}': must be one period (100) or a list (100,200)")
    return steps


@schedules.register('constant')
def constant(config):
    """The initial learning rate throughout."""
    return lambda position: 1.0


@schedules.register('cosine')
def cosine(config, end=0.0):
    """Half a cosine wave from 1 down to `end` over all epochs (Loshchilov and Hutter, 2017)."""
    require_number('end', end, 0, 1)

    def factor(position):
        wave = 0.5 * (1 + math.cos(math.pi * min(position.epoch / config.iter, 1)))
        return end + (1 - end) * wave

    return factor


@schedules.register('warmup')
def warmup(config, epochs=5, start=0.0):
    """From `start` up to 1 in a straight line over the first `epochs`, then 1."""
    require_number('epochs', epochs, 1e-3, 1e6)
    require_number('start', start, 0, 1)
    return lambda position: start + (1 - start) * min(position.epoch / epochs, 1)


@schedules.register('triangular')
def triangular(config, peak=0.3, start=0.0, end=0.0):
    """From `start` up to 1 at the fraction `peak` of all epochs, then down to `end`: one cycle.

    Smith and Topin, Super-Convergence, 2018.
    """
    require_number('peak', peak, 1e-6, 1 - 1e-6)
    require_number('start', start, 0, 1)
    require_number('end', end, 0, 1)

    def factor(position):
        done = min(position.epoch / config.iter, 1)
        if done < peak:
            return start + (1 - start) * done / peak
        return end + (1 - end) * (1 - done) / (1 - peak)

    return factor


@schedules.register('decay')
def decay(config, rate):
    """1 / (1 + rate x updates so far): Keras' ``decay`` (article 004)."""
    require_number('rate', rate, 0, 1e6)
    return lambda position: 1 / (1 + rate * position.iteration)


@schedules.register('plateau')
def plateau(config, factor=0.1, patience=10, min_delta=1e-4, cooldown=0, min_lr=0.0, late=0):
    """Multiplied by `factor` when the validation accuracy has not risen for `patience` epochs.

    Keras' ReduceLROnPlateau, of the accuracy (0 to 1) on validation images: it has risen when it is
    more than `min_delta` above the best so far; epochs count again `cooldown` epochs after a cut;
    the learning rate that was set never falls below `min_lr`. ``late=1`` does what Keras did before
    2.2.4, as article 004 used it: the first cut after a best epoch comes one epoch later (best at
    1, patience 5: cuts at 7, 12, 17 instead of 6, 11, 16).
    """
    require_number('factor', factor, 0, 1)
    require_whole('patience', patience, 1, 10**6)
    require_number('min_delta', min_delta, 0, 1)
    require_whole('cooldown', cooldown, 0, 10**6)
    require_number('min_lr', min_lr, 0, 1e6)
    require_whole('late', late, 0, 1)
    if config.no_valid_data:
        raise ValueError('watches the validation error; not --no_valid_data')
    floor = min(min_lr / config.initial_rate, 1) if config.initial_rate else 1

    def current(position):
        best, wait, cooling, value = -math.inf, -late, 0, 1.0
        for row in position.rows:
            accuracy = 1 - row['valid_error'] / 100
            if cooling:
                cooling -= 1
                wait = -late
            if accuracy > best + min_delta:
                best, wait = accuracy, -late
            elif not cooling:
                wait += 1
                if wait >= patience and value > floor:
                    value = max(value * factor, floor)
                    cooling, wait = cooldown, 0
        return value

    return current
