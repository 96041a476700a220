"""What is told of the trials: order, what mattered, the command of the best."""

import json
import math
import random

import pytest

pytest.importorskip('optuna', reason="needs the extra search: pip install '.[search]'")

import optuna

from chainer_cifar.commands import train
from chainer_cifar.runs import RunFolder
from chainer_cifar.search import results, space
from chainer_cifar.search.space import Space

TEXTS = {'model': 'cnn', 'lr': '1e-3..1e-1', 'momentum': '0.5..0.9', 'skip_depth': 'yes;no'}
SPACE = Space({name: space.parse(name, text) for name, text in TEXTS.items()})


@pytest.fixture
def study():
    return optuna.create_study()


def add(study, state, errors, lr=0.01, momentum=0.7, skip=True, value=None, **attributes):
    distributions = {
        'lr': optuna.distributions.FloatDistribution(0.001, 0.1, log=True),
        'momentum': optuna.distributions.FloatDistribution(0.5, 0.9),
        'skip_depth': optuna.distributions.CategoricalDistribution([True, False]),
    }
    study.add_trial(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState[state],
            value=min(errors) if state == 'COMPLETE' else value,
            params={'lr': lr, 'momentum': momentum, 'skip_depth': skip},
            distributions=distributions,
            intermediate_values=dict(enumerate(errors, 1)),
            user_attrs=attributes,
        )
    )


def read(study, planned=9):
    return results.read(RunFolder('a'), study, SPACE, planned)


def test_the_best_comes_first(study):
    add(study, 'PRUNED', [5.0])
    add(study, 'COMPLETE', [30.0, 20.0, 25.0])
    add(study, 'PRUNED', [90.0, 80.0])
    add(study, 'COMPLETE', [30.0, 10.0, 15.0], lr=0.0123456, skip=False)
    add(study, 'PRUNED', [], reason='diverged')
    add(study, 'FAIL', [], reason='out of memory')
    add(study, 'RUNNING', [50.0])
    add(study, 'COMPLETE', [10.0], twin=3)
    found = read(study)
    # Of those that were stopped, the one that came further.
    assert [trial.number for trial in found.trials] == [4, 8, 2, 3, 1, 7, 5, 6]
    best = found.best
    assert best == found.trials[0] and (best.error, best.epoch, best.epochs) == (10, 2, 3)
    assert best.values == {'lr': 0.0123, 'momentum': 0.7, 'skip_depth': False}
    assert found.trials[1].twin == 4
    assert found.state == (
        '8 of 9 trials: 3 finished, 2 stopped, 1 diverged, 1 failed, 1 unfinished'
    )
    assert not found.finished


def test_a_stopped_trial_is_not_the_best(study):
    assert read(study).best is None and results.best_command(read(study)) is None
    add(study, 'PRUNED', [5.0])
    assert read(study).best is None
    before, heading, after = results.table(read(study)).partition(
        'valid error %  best epoch  state'
    )
    assert heading and 'best' not in before + after


def test_the_command_of_the_best(study):
    add(study, 'COMPLETE', [1.0], lr=0.05)
    command = results.best_command(read(study))
    words = '--model cnn --lr 0.05 --momentum 0.7 --skip_depth -p a_best'
    assert command == f'chainer-cifar train {words}'
    add(study, 'COMPLETE', [0.5], lr=0.05, skip=False)
    assert '--skip_depth' not in results.best_command(read(study))


@pytest.mark.parametrize('switched_on', [True, False])
def test_the_command_trains_the_net_of_the_trial_beside_a_recipe(switched_on, monkeypatch):
    """No word of `train` takes back what the recipe switches on."""
    texts = {'recipe': 'residual_skip', 'lr': '1e-2..1e-1', 'skip_depth': 'yes;no'}
    found = Space({name: space.parse(name, text) for name, text in texts.items()})
    values = {'lr': 0.05, 'skip_depth': switched_on}
    words = results.as_arguments(found.typed(values))
    given, flags, _ = train._read(words, 'train')
    wanted, got = (vars(each) for each in (found.config(values), train._config(given, flags)))
    for each in (wanted, got):
        del each['prefix'], each['recipe']
    assert got == wanted and got['skip_depth'] is switched_on
    assert ('--recipe' in words) == switched_on


def test_what_mattered(study):
    """The learning rate decides here, the others do nothing."""
    rng = random.Random(0)
    for number in range(40):
        lr, momentum = 10 ** rng.uniform(-3, -1), rng.uniform(0.5, 0.9)
        error = 10 + 40 * abs(2 + math.log10(lr))
        state = 'COMPLETE' if number % 3 == 0 else 'PRUNED'
        add(study, state, [error], lr, momentum, rng.random() < 0.5)
    shares = read(study).importances
    assert next(iter(shares)) == 'lr' and shares['lr'] > 0.6
    assert sum(shares.values()) == pytest.approx(1)
    assert set(shares) == {'lr', 'momentum', 'skip_depth'}


def test_few_trials_tell_nothing(study):
    for number in range(results.LEAST - 1):
        add(study, 'COMPLETE', [float(number)])
    assert read(study).importances == {}


def test_files(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        add(study, 'COMPLETE' if number % 2 else 'PRUNED', [90.0 - number])
    found = read(study, planned=12)
    results.write(found)
    results.draw(found)
    content = json.loads((tmp_path / 'results/a/search.json').read_text())
    assert content['finished'] and content['best']['trial'] == 12
    assert content['flags'] == {**TEXTS, 'lr': '0.001..0.1'}
    first = content['trials'][0]
    assert (first['run'], first['valid_error'], first['state']) == ('a/trial_012', 79, 'finished')
    text = (tmp_path / 'results/a/search.txt').read_text()
    assert 'test set was not looked at' in text and text.count('\n') > 14
    assert '… and 2 more' in results.table(found)
    assert (tmp_path / 'results/a/search.png').read_bytes().startswith(b'\x89PNG')
    assert 'test_error' not in json.dumps(content)
