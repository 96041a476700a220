"""Learning-rate schedules: pure functions of the place in the run.

``--lr_shape`` names one or several, as in ``warmup(5)|cosine`` or ``plateau|decay(5e-4)``. Each
takes the config and its arguments, and returns a function from a `Position` to a factor. The
learning rate is the initial one times all factors. To add a schedule, write a function here.
"""

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from chainer_cifar import language
from chainer_cifar.checks import require_number, require_whole
from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry


class Position(NamedTuple):
    """The place in a run before an update."""

    epoch: float  # 0 at the start, 2.5 in the middle of the third
    iteration: int = 0  # updates so far
    rows: Sequence[Mapping[str, float]] = ()  # the log (see log.py), a row for each complete epoch


class Flags(Protocol):
    """The flags that schedules read."""

    @property
    def lr_shape(self) -> str: ...
    @property
    def lr_decay_iter(self) -> str: ...
    @property
    def iter(self) -> int: ...
    @property
    def no_valid_data(self) -> bool: ...
    @property
    def initial_rate(self) -> float: ...


Factor: TypeAlias = Callable[[Position], float]

schedules = Registry[Callable[..., Factor]]('learning-rate shape')


def create(config: Flags) -> Factor:
    """Multiply the schedules of ``--lr_shape``.

    Raises:
        UserError: The text is malformed, or an argument makes no sense.
    """
    factors = language.build(config.lr_shape, schedules, config)
    return lambda position: math.prod(factor(position) for factor in factors)


def forms() -> str:
    """Show how to write each, such as ``warmup(epochs=5, start=0.0)``, with commas."""
    return language.forms(schedules, skip=1)


@schedules.register('multistep')
def multistep(config: Flags) -> Factor:
    """Divide by 10 every `lr_decay_iter` epochs, or after each epoch of a list (article 000)."""
    steps = decay_epochs(config.lr_decay_iter)
    if ',' not in config.lr_decay_iter:
        period = steps[0]
        return lambda position: float(0.1 ** (position.epoch // period)) if period else 1.0
    steps.sort()
    return lambda position: float(0.1 ** bisect.bisect_right(steps, position.epoch))


def decay_epochs(text: str) -> list[int]:
    """Read ``--lr_decay_iter``: one period in epochs, or with a comma the epochs themselves.

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
def constant(config: Flags) -> Factor:
    """Keep the initial learning rate."""
    return lambda position: 1.0


@schedules.register('cosine')
def cosine(config: Flags, end: float = 0.0) -> Factor:
    """Fall from 1 to `end` over all epochs as half a cosine wave (Loshchilov and Hutter, 2017)."""
    require_number('end', end, 0, 1)

    def factor(position: Position) -> float:
        wave = 0.5 * (1 + math.cos(math.pi * min(position.epoch / config.iter, 1)))
        return end + (1 - end) * wave

    return factor


@schedules.register('warmup')
def warmup(config: Flags, epochs: float = 5, start: float = 0.0) -> Factor:
    """Rise from `start` to 1 in a straight line over the first `epochs`, then stay at 1."""
    require_number('epochs', epochs, 1e-3, 1e6)
    require_number('start', start, 0, 1)
    return lambda position: start + (1 - start) * min(position.epoch / epochs, 1)


@schedules.register('triangular')
def triangular(config: Flags, peak: float = 0.3, start: float = 0.0, end: float = 0.0) -> Factor:
    """Rise from `start` to 1 until the fraction `peak` of all epochs, then fall to `end`.

    It is one cycle of Smith and Topin, Super-Convergence, 2018.
    """
    require_number('peak', peak, 1e-6, 1 - 1e-6)
    require_number('start', start, 0, 1)
    require_number('end', end, 0, 1)

    def factor(position: Position) -> float:
        done = min(position.epoch / config.iter, 1)
        if done < peak:
            return start + (1 - start) * done / peak
        return end + (1 - end) * (1 - done) / (1 - peak)

    return factor


@schedules.register('decay')
def decay(config: Flags, rate: float) -> Factor:
    """Multiply by 1 / (1 + rate x updates so far): Keras' ``decay`` (article 004)."""
    require_number('rate', rate, 0, 1e6)
    return lambda position: 1 / (1 + rate * position.iteration)


@schedules.register('plateau')
def plateau(
    config: Flags,
    factor: float = 0.1,
    patience: int = 10,
    min_delta: float = 1e-4,
    cooldown: int = 0,
    min_lr: float = 0.0,
    late: int = 0,
) -> Factor:
    """Multiply by `factor` when the validation accuracy has not risen for `patience` epochs.

    This is Keras' ReduceLROnPlateau for the accuracy (0 to 1) on validation images. The accuracy
    has risen if it is more than `min_delta` above the best so far. Epochs count again `cooldown`
    epochs after a cut. This factor never takes the rate below `min_lr`. ``late=1`` does as Keras
    did before 2.2.4, as article 004 used it: the first cut after a best epoch comes one epoch later
    (best at 1, patience 5: cuts at 7, 12, 17 instead of 6, 11, 16).
    """
    require_number('factor', factor, 0, 1)
    require_whole('patience', patience, 1, 10**6)
    require_number('min_delta', min_delta, 0, 1)
    require_whole('cooldown', cooldown, 0, 10**6)
    require_number('min_lr', min_lr, 0, 1e6)
    require_whole('late', late, 0, 1)
    if config.no_valid_data:
        raise ValueError('needs the validation error; leave out --no_valid_data')
    floor = min(min_lr / config.initial_rate, 1) if config.initial_rate else 1

    def current(position: Position) -> float:
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
