"""Run a learning-rate range test: at which rates does a net learn, and where does it diverge?

Smith, Cyclical Learning Rates for Training Neural Networks, 2017. The learning rate rises from
iteration to iteration by a constant factor, while the net trains as usual.
"""

import math
from typing import Any

import numpy as np

from chainer_cifar.errors import UserError
from chainer_cifar.streams import progress_bar
from chainer_cifar.training.divergence import quiet_numbers
from chainer_cifar.training.trainer import Run

LOW, HIGH = 1e-6, 10.0
STEPS = 200  # from one to the other
KEPT = 0.9  # share of the smoothed loss that each step keeps
DIVERGED = 3.0  # times the lowest loss: stop here
LINES = 15  # in the table


def measure(run: Run) -> list[tuple[float, float]]:
    """Train a new run with rising learning rates, until the loss has grown beyond all bounds.

    Returns:
        Pairs of a learning rate and the loss (nats) there, as the exponential mean of all losses so
        far, without the bias of its beginning.
    """
    updater, mean = run.trainer.updater, 0.0
    rows: list[tuple[float, float]] = []
    updater.rate = lambda position: LOW * (HIGH / LOW) ** (position.iteration / (STEPS - 1))
    with quiet_numbers():
        for step in progress_bar('learning rates', unit='it', iterable=range(STEPS)):
            rate = updater.rate(updater.position)
            observation: dict[str, Any] = {}
            with run.trainer.reporter.scope(observation):
                updater.update()
            # Of the whole mini-batch; with --accumulate the model knows only that of its last part.
            found = observation['main/loss']
            mean = KEPT * mean + (1 - KEPT) * float(getattr(found, 'array', found))
            loss = mean / (1 - KEPT ** (step + 1))
            if not math.isfinite(loss) or (
                rows and loss > DIVERGED * min(loss for _, loss in rows)
            ):
                break
            rows.append((rate, loss))
    if len(rows) < 3:
        raise UserError('the loss is not a number from the start; look at the images')
    return rows


def suggest(rows: list[tuple[float, float]]) -> float:
    """Return a tenth of the learning rate at which the loss was lowest.

    The rate at which it falls fastest would be another choice, but small batches make it random.
    """
    return min(rows, key=lambda row: row[1])[0] / 10


def table(rows: list[tuple[float, float]]) -> str:
    """Write some of the rows of `measure`, evenly apart, as text."""
    shown = np.unique(np.linspace(0, len(rows) - 1, LINES).round().astype(int))
    return '\n'.join(
        ['learning rate    loss', *(f'{rows[i][0]:13.3g}{rows[i][1]:8.4f}' for i in shown)]
    )
