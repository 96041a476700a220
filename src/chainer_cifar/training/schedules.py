"""Learning-rate schedules: pure functions of the epoch. To add one: a function here.

Each takes the config and returns ``factor(epoch)``: by what the initial learning rate is
multiplied after `epoch` epochs (float; 0 at the start, 2.5 in the middle of the third).
"""

import bisect
import math

from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry

schedules = Registry('learning-rate shape')


@schedules.register('multistep')
def multistep(config):
    """Divided by 10 every `lr_decay_iter` epochs, or after each epoch of a list (article 000)."""
    text = config.lr_decay_iter
    try:
        steps = [int(step) for step in text.split(',') if step.strip()]
    except ValueError:
        steps = []
    if not steps or min(steps) < 0:
        raise UserError(f"--lr_decay_iter '{text}': must be one period (100) or a list (100,200)")
    if ',' not in text:
        period = steps[0]
        return lambda epoch: 0.1 ** (epoch // period) if period else 1.0
    steps.sort()
    return lambda epoch: 0.1 ** bisect.bisect_right(steps, epoch)


@schedules.register('cosine')
def cosine(config):
    """Half a cosine wave from 1 down to 0 over all epochs (Loshchilov and Hutter, 2017)."""
    return lambda epoch: 0.5 * (1 + math.cos(math.pi * min(epoch / config.iter, 1)))
