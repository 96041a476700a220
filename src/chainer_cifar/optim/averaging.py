"""Averages of a net's weights over time: ``--average``. To add one: a class here.

What is averaged are the parameters and the statistics of batch normalization. The averaged net is a
net of its own (`Average.net`), which is evaluated and saved.
"""

import copy
from collections.abc import Callable

import chainer
import numpy as np
from chainer.backends import cuda

from chainer_cifar import language
from chainer_cifar.arrays import Array
from chainer_cifar.checks import require_number, require_whole
from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry

averages = Registry[Callable[..., 'Average']]('average of weights')


def create(text: str, net: chainer.Chain | None) -> 'Average | None':
    """Make the average that ``--average`` names, of `net`; None for ``none``.

    Args:
        text: Such as ``ema(0.999)``.
        net: On its device; no optimizer has been set up on it. None, to check the text only.

    Raises:
        UserError: The text is malformed, it names several, or an argument makes no sense.
    """
    found = language.build(text, averages, net)
    if len(found) > 1:
        raise UserError(f"'{text}': one at a time")
    return found[0] if found else None


def forms() -> str:
    """Show how to write each, such as ``ema(decay=0.999)``, with commas."""
    return language.forms(averages, skip=1)


class Average:
    """Base class; a subclass has ``after_update(iteration, done)``.

    Attributes:
        trained: The net that the optimizer updates.
        net: A copy of it, with the averaged weights.
    """

    def __init__(self, net: chainer.Chain | None) -> None:
        self.trained: chainer.Chain = net
        self.net: chainer.Chain = copy.deepcopy(net)

    def begin(self) -> None:
        """Take the weights as they are before the first update."""
        self.net.copyparams(self.trained)

    def after_update(self, iteration: int, done: float) -> None:
        """Include the weights after an update.

        Args:
            iteration: Updates so far, from 1.
            done: The fraction of the run that is done, up to 1.
        """
        raise NotImplementedError

    def keep(self, share: float) -> None:
        """``average = share * average + (1 - share) * trained``, of every array.

        What the first batch has set, as with weight normalization, is taken as it is: before, it
        was no weight of the net that trains.
        """
        for mine, theirs in zip(self.net.links(), self.trained.links(), strict=True):
            if getattr(theirs, 'initialized', True) and not getattr(mine, 'initialized', True):
                mine.copyparams(theirs)
                continue
            for name in theirs._params:
                _move(getattr(mine, name).array, getattr(theirs, name).array, 1 - share)
            for name in theirs._persistent:
                value = getattr(theirs, name)
                if isinstance(value, chainer.get_array_types()):
                    _move(getattr(mine, name), value, 1 - share)
                else:  # a count
                    setattr(mine, name, value)

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        """Save or load it in a run's state."""
        self.net.serialize(serializer['average'])


def _move(array: Array, target: Array, share: float) -> None:
    """``array += share * (target - array)`` in place."""
    if chainer.backend.get_array_module(array) is np:
        step = target - array
        step *= share
        array += step
    else:
        cuda.elementwise(
            'T target, T share', 'T array', 'array += share * (target - array)', 'move'
        )(target, share, array)


@averages.register('ema')
class Ema(Average):
    """Exponential moving average: after each update `decay` of the average is kept.

    At first less, (1 + t) / (10 + t) after update t, so that the initial weights are soon forgotten
    (as TensorFlow's ExponentialMovingAverage with num_updates).
    """

    def __init__(self, net: chainer.Chain | None, decay: float = 0.999) -> None:
        require_number('decay', decay, 0, 1)
        super().__init__(net)
        self.decay = decay

    def after_update(self, iteration: int, done: float) -> None:
        self.keep(min(self.decay, (1 + iteration) / (10 + iteration)))


@averages.register('lookahead')
class Lookahead(Average):
    """Every few updates the trained weights are set to an average, which lags behind.

    Zhang et al., Lookahead Optimizer: k steps forward, 1 step back, 2019, for which `every` is k
    and `decay` 1 - alpha. What is kept of the average is ``decay * done ** power``, with the
    fraction of the run that is done; airbench has 5, 0.95**5 = 0.774 and 3.
    """

    def __init__(
        self, net: chainer.Chain | None, every: int = 5, decay: float = 0.5, power: float = 0
    ) -> None:
        require_whole('every', every, 1, 10**6)
        require_number('decay', decay, 0, 1)
        require_number('power', power, 0, 100)
        if decay == 1 and power == 0:
            raise ValueError(
                'decay 1 with power 0 would bring the first weights back for ever; give a smaller '
                'decay, or a power above 0'
            )
        super().__init__(net)
        self.every, self.decay, self.power = every, decay, power

    def after_update(self, iteration: int, done: float) -> None:
        if iteration % self.every == 0:
            self.keep(self.decay * done**self.power)
            self.trained.copyparams(self.net)
