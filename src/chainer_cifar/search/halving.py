"""Successive halving (Jamieson and Talwalkar, 2016): which trials are stopped after which epochs.

As in Optuna's own pruner, no trial waits for others (Li et al., 2020): one that comes to a rung
goes on if it is among the best of those that have come as far. Optuna's writes into the journal
that it has judged a trial, before the trial is stopped; if the process died in between, the trial
would go on. This one's verdict is a function of the errors in the journal.
"""

import math
from collections.abc import Sequence
from typing import Any

FIRST_RUNG = 9  # the part of the epochs after which trials are compared first


def rungs(epochs: int, factor: int) -> list[int]:
    """Return after which epochs trials are stopped.

    Args:
        epochs: Of a trial that is not stopped.
        factor: Of so many trials that have come as far, one goes on; 1: all do.
    """
    if factor == 1:
        return []
    rung, found = max(1, epochs // FIRST_RUNG), []
    while rung < epochs:
        found.append(rung)
        rung *= factor
    return found


class Pruner:
    """What Optuna's study takes as its pruner.

    Args:
        rungs: After which epochs trials are stopped.
        factor: Of so many trials that have come as far, one goes on.
    """

    def __init__(self, rungs: Sequence[int], factor: int) -> None:
        self._rungs = rungs
        self._factor = factor

    def prune(self, study: Any, trial: Any) -> bool:
        """Say whether the trial shall stop after the epoch that it has reported last."""
        epoch = trial.last_step
        if epoch not in self._rungs:
            return False
        error = trial.intermediate_values[epoch]
        if math.isnan(error):
            return True
        others = [
            other.intermediate_values.get(epoch, math.nan)
            for other in study.get_trials(deepcopy=False)
            # A trial that only repeats another would count that one twice.
            if other.number != trial.number and 'twin' not in other.user_attrs
        ]
        errors = sorted([error, *(other for other in others if not math.isnan(other))])
        return bool(error > errors[max(1, len(errors) // self._factor) - 1])
