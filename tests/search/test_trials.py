"""Which trial comes next: of a process that died, or a new one. Nothing is trained here."""

import dataclasses
import pathlib

import filelock
import pytest

pytest.importorskip('optuna', reason="needs the extra search: pip install '.[search]'")

from chainer_cifar.errors import Interrupted, UserError
from chainer_cifar.runs import RunFolder
from chainer_cifar.search import journal, space, trials
from chainer_cifar.search.settings import Settings
from chainer_cifar.search.space import Space

TEXTS = {'optimizer': 'adam;nesterov', 'lr': '1e-3..1e-1', 'alpha': '1e-4..1e-2', 'iter': '27'}


def search_in(name, trials_wanted=9, halving=3, **texts):
    items = {flag: space.parse(flag, text) for flag, text in {**TEXTS, **texts}.items()}
    folder = RunFolder(name)
    folder.results.mkdir(parents=True, exist_ok=True)
    settings = Settings(Space(items), trials_wanted, halving, keep=False)
    return trials.Search(folder, settings, journal.open_study(folder.journal))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def begun(search):
    """Number and flags of the next trial, whose process then dies."""
    mine = search._next()
    if mine is None:
        return None
    values = search._suggest(mine.trial)
    mine.claim._ended.set()
    mine.claim._lock.release()  # as the system does
    return mine.number, values, mine.trial


def test_what_a_process_leaves_is_taken_over_with_its_flags():
    one, other = search_in('a'), search_in('a')
    number, values, trial = begun(one)
    trial.report(40.0, 1)
    assert begun(other)[:2] == begun(one)[:2] == (number, values)
    trial.report(30.0, 2)
    assert begun(other)[:2] == (1, values)
    one.study.tell(trial, 30.0)
    assert begun(other)[0] == 2


def test_a_trial_that_kills_processes_is_given_up(capsys):
    search = search_in('a', trials_wanted=1)
    _, _, trial = begun(search)
    trial.report(40.0, 1)  # it came further, so the deaths count anew
    numbers = [begun(search)[0] for _ in range(trials.DEATHS)]
    assert numbers == [1] * trials.DEATHS and begun(search) is None
    assert capsys.readouterr().err == (
        'warning: trial 1: its process was killed 3 times; it is given up\n'
    )
    (found,) = search.found().trials
    assert (found.state, found.reason) == ('failed', 'its process was killed 3 times')


def test_others_trials_are_left_alone():
    one, other = search_in('a'), search_in('a')
    mine, theirs = one._next(), other._next()
    assert (mine.number, theirs.number) == (1, 2)
    assert search_in('a', trials_wanted=2)._next() is None
    for each in (mine, theirs):
        each.claim.release()


def test_what_is_drawn_is_a_function_of_seed_and_number():
    def drawn(name, **texts):
        found = []
        for _ in range(4):
            # Each by a process of its own.
            number, values, trial = begun(search := search_in(name, **texts))
            search.study.tell(trial, 100 * values.get('lr', 0.5))
            found.append((number, values))
        return found

    first = drawn('a')
    assert drawn('b') == first and drawn('c', seed='2') != first
    assert len({str(values) for _, values in first}) == 4


def test_a_process_that_died_between_two_draws_changes_none():
    undisturbed, search = search_in('a'), search_in('b')
    _, expected, _ = begun(undisturbed)
    searched = search.settings.space.searched
    names = list(searched)
    assert len(expected) > 1
    known = dict(searched)
    for name in names[1:]:
        del searched[name]
    begun(search)
    searched.update(known)
    assert begun(search)[1] == expected


def test_who_goes_on_keeps_what_another_was_told_to_keep(monkeypatch):
    monkeypatch.setattr(trials.run, 'require_trainable', list)
    search = search_in('a')
    for keep in (False, True):
        if keep:
            trials.begin(search.folder, dataclasses.replace(search.settings, keep=True), False)
        number, _, trial = begun(search)
        search.study.tell(trial, state=trials._state('PRUNED'))
        weights = search.folder.of_trial(number).weights
        weights.parent.mkdir()
        weights.touch()
        search_in('a')._tidy()
        assert weights.exists() == keep


def test_halving_stops_at_the_rungs():
    search = search_in('a', iter='9')
    states = []
    for course in ([50, 40, 30, 20], [60, 10, 10, 10], [40, 30, 20, 10], [41, 30, 20, 10]):
        _, _, trial = begun(search)
        for epoch, error in enumerate(course, 1):
            trial.report(float(error), epoch)
            if trial.should_prune():
                states.append(epoch)
                search.study.tell(trial, state=trials._state('PRUNED'))
                break
        else:
            states.append(None)
            search.study.tell(trial, 10.0)
    # The first is the best so far; then one of three goes on.
    assert states == [None, 1, None, 1]
    assert pathlib.Path('results/a/journal.jsonl').stat().st_size > 0


def test_ctrl_c_just_after_a_trial_has_ended(monkeypatch):
    search = search_in('a', trials_wanted=1)

    def train(mine):
        search.study.tell(mine.trial, 30.0)
        raise KeyboardInterrupt

    monkeypatch.setattr(search, '_train', train)
    monkeypatch.setattr(search, 'report', lambda last: None)
    with pytest.raises(Interrupted, match='in trial 1; the same command goes on'):
        search.work()
    assert not list(search.folder.models.glob('trial_001.*'))  # nobody will want it


@pytest.mark.parametrize(
    ('name', 'value'),
    [('halving', 0), ('flags', {'lr': 5}), ('flags', {'lr': None}), ('trials', 'abc')],
)
def test_settings_of_a_journal_that_make_no_sense(name, value):
    search = search_in('a')
    saved = {**search.settings.saved(), name: value}
    with pytest.raises(UserError, match=r'journal\.jsonl: cannot be read'):
        search.settings.require_same(search.folder, saved)


@pytest.mark.parametrize('place', ['a', 'a/trial_001'])
def test_overwrite_waits_for_who_trains(place, monkeypatch):
    """As by `train --resume -p a/trial_001`, which has no claim."""
    monkeypatch.setattr(trials.run, 'require_trainable', list)
    search = search_in('a')
    weights = RunFolder(place).weights
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.touch()
    told = f'models/{place}: another process is training'
    with filelock.FileLock(RunFolder(place).lock), pytest.raises(UserError, match=told):
        trials.begin(search.folder, search.settings, overwrite=True)
    assert weights.exists() and search.folder.journal.exists()
    trials.begin(search.folder, search.settings, overwrite=True)
    assert not weights.exists()


def test_overwrite_keeps_the_lock_that_it_holds(monkeypatch):
    monkeypatch.setattr(trials.run, 'require_trainable', list)
    search = search_in('a')
    open_study, found = journal.open_study, []

    def look(path):
        found.append((search.folder.models / 'search.held').exists())
        return open_study(path)

    monkeypatch.setattr(journal, 'open_study', look)
    trials.begin(search.folder, search.settings, overwrite=True)
    assert found == [True]


def test_overwrite_replaces_searches_only(monkeypatch):
    monkeypatch.setattr(trials.run, 'require_trainable', list)
    settings = search_in('other').settings
    folder = RunFolder('a')
    folder.models.mkdir(parents=True)
    folder.weights.touch()
    with pytest.raises(UserError, match='models/a: holds a run already; give another --name'):
        trials.begin(folder, settings, overwrite=True)
    assert folder.weights.exists()
