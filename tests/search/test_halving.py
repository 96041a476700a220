"""Which trials successive halving stops: as Optuna's own pruner does, and again after a crash."""

import itertools

import numpy as np
import pytest

pytest.importorskip('optuna', reason="needs the extra search: pip install '.[search]'")

import optuna

from chainer_cifar.search import halving

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.mark.parametrize(
    ('epochs', 'factor', 'rungs'),
    [(27, 3, [3, 9]), (9, 3, [1, 3]), (4, 3, [1, 3]), (1, 3, []), (20, 4, [2, 8]), (27, 1, [])],
)
def test_rungs(epochs, factor, rungs):
    assert halving.rungs(epochs, factor) == rungs


def verdicts(pruner, errors):
    """After which epoch each trial stops, if all go on side by side; None: after none."""
    study = optuna.create_study(pruner=pruner)
    trials = {number: study.ask() for number in range(len(errors))}
    stopped = dict.fromkeys(trials)
    for epoch, number in itertools.product(range(1, errors.shape[1] + 1), list(trials)):
        if stopped[number] is None:
            trials[number].report(errors[number, epoch - 1], epoch)
            if trials[number].should_prune():
                stopped[number] = epoch
    return stopped


@pytest.mark.parametrize('factor', [2, 3, 4])
@pytest.mark.parametrize('seed', range(5))
def test_the_verdicts_are_those_of_optunas_own_pruner(factor, seed):
    errors = np.random.RandomState(seed).randint(20, size=(12, 10)).astype(float)
    errors[3, 0] = np.nan
    first, *_ = rungs = halving.rungs(10, factor)
    own = optuna.pruners.SuccessiveHalvingPruner(first, factor)
    assert verdicts(halving.Pruner(rungs, factor), errors) == verdicts(own, errors)


def test_the_verdict_is_the_same_when_it_is_asked_for_again():
    study = optuna.create_study(pruner=halving.Pruner([1], 2))
    best, other = study.ask(), study.ask()
    best.report(10.0, 1)
    other.report(20.0, 1)
    for _ in range(2):
        assert other.should_prune() and not best.should_prune()
