"""Search: one trial after the other, each a run like any other in NAME/trial_001 and so on.

    lock -> a trial whose process died, or a new one (TPE chooses its flags) -> claim it -> unlock
         -> train it; after each epoch its validation error goes into the journal
         -> successive halving stops it, or it trains to its end
         -> tables

Any number of processes do this at a time, on any number of machines that share the folders. What
they know of each other is in the journal; see journal.py, claim.py. The test set is not looked at:
a trial's own log holds its test error, as that of any run, but nobody here reads it.
"""

import contextlib
import gc
import os
import shlex
import signal
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from chainer_cifar import figures
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.errors import Diverged, Interrupted, UserError, lacks_memory
from chainer_cifar.evaluation import history
from chainer_cifar.files import make_folder
from chainer_cifar.runs import SEARCH_LOCKS, RunFolder
from chainer_cifar.search import claim, halving, journal, results
from chainer_cifar.search.lock import Lock
from chainer_cifar.search.settings import Settings
from chainer_cifar.search.space import Range, Value
from chainer_cifar.streams import tell
from chainer_cifar.training import folders, run
from chainer_cifar.training.log import Row

DEATHS = 3  # of processes in the same epochs of a trial, after which it is given up
SECONDS = 30  # between two drawings


class Search:
    """A search, which other processes may be at, too.

    Args:
        folder: Its folders, where the journal is already.
        settings: What it is.
        study: Its study.
    """

    def __init__(self, folder: RunFolder, settings: Settings, study: Any) -> None:
        self.folder = folder
        self.settings = settings
        self.study = study
        self.lock = lock_of(folder)
        self._drawn = time.monotonic()
        study.pruner = halving.Pruner(settings.rungs, settings.halving)

    def work(self) -> None:
        """Train trials until there are none left to begin or to continue.

        Raises:
            UserError: Two trials in a row could not be trained.
            Interrupted: The user stopped it.
        """
        failed_before = False
        with self.lock:
            self._tidy()
        while True:
            with self.lock:
                mine = self._next()
            if mine is None:
                break
            ended = False
            try:
                reason = self._train(mine)
                ended = True
            except KeyboardInterrupt as stop:
                ended = self._state_of(mine.number - 1) != 'RUNNING'
                if not ended:
                    mine.trial.set_user_attr('attempts', [0, 0])
                self.report(last=True)
                number = getattr(stop, 'signum', signal.SIGINT)
                raise Interrupted(
                    f'stopped in trial {mine.number}; the same command goes on', number
                ) from None
            finally:
                mine.claim.release(ended)
            gc.collect()  # images and net of this trial, before the next are read
            self.report()
            if reason and failed_before:
                raise UserError(f'trial {mine.number}: {reason}')
            failed_before = failed_before if reason is None else bool(reason)

    def report(self, last: bool = False) -> results.Found:
        """Write the tables of the search as it is now, and the picture if it is time for it."""
        with self.lock:
            found = self.found()
            results.write(found)
            if last or time.monotonic() - self._drawn > SECONDS:
                results.draw(found)
                self._drawn = time.monotonic()
        return found

    def found(self) -> results.Found:
        """Look what the trials gave."""
        return results.read(self.folder, self.study, self.settings.space, self.settings.trials)

    def _tidy(self) -> None:
        """Delete what a killed process left of trials at their end."""
        for trial in self.study.get_trials(deepcopy=False):
            folder = self.folder.of_trial(trial.number + 1)
            if trial.state.is_finished():
                claim.forget(folder)
            if trial.state.name == 'PRUNED':
                self._delete_weights(folder)

    def _next(self) -> '_Mine | None':
        """Claim a trial whose process has died, or else a new one; None if there is none."""
        trials = self.study.get_trials(deepcopy=False)
        for known in trials:
            if known.state.name != 'RUNNING':
                continue
            number = known.number + 1
            claimed = claim.claim(self.folder.of_trial(number))
            if claimed is None:
                continue
            if self._state_of(known.number) != 'RUNNING':  # it was at its end just now
                claimed.release(ended=True)
                continue
            attempts, epochs = known.user_attrs.get('attempts', [1, 0])
            done = len(known.intermediate_values)
            attempts = 1 + (attempts if done == epochs else 0)
            if attempts > DEATHS:
                self._give_up(known)
                claimed.release(ended=True)
                continue
            self._choose_sampler(known.number)
            # Optuna's own way to go on with a trial in another process than the one that asked.
            trial = journal.optuna().trial.Trial(self.study, known._trial_id)
            trial.set_user_attr('attempts', [attempts, done])
            return _Mine(number, trial, claimed, again=True)
        if len(trials) >= self.settings.trials:
            return None
        self._choose_sampler(len(trials))
        trial = self.study.ask()
        claimed = claim.claim(self.folder.of_trial(trial.number + 1))
        assert claimed is not None  # nobody else knew of it
        return _Mine(trial.number + 1, trial, claimed, again=False)

    def _state_of(self, number: int) -> str:
        return self.study.get_trials(deepcopy=False)[number].state.name

    def _give_up(self, known: Any) -> None:
        reason = f'its process was killed {DEATHS} times'
        tell(f'warning: trial {known.number + 1}: {reason}; it is given up')
        trial = journal.optuna().trial.Trial(self.study, known._trial_id)
        trial.set_user_attr('reason', reason)
        self.study.tell(known.number, state=_state('FAIL'))

    def _choose_sampler(self, number: int, place: int = 0) -> None:
        """Let what is drawn for a flag be a function of the seed, the trial and the flag's place.

        Otherwise two processes with the same seed would draw the same trials, and one that takes a
        trial over in the middle of it would draw other flags than the one that began.
        """
        seed = self.settings.config.seed, number, place
        state = np.random.SeedSequence(seed).generate_state(1)
        with _quiet():
            self.study.sampler = journal.optuna().samplers.TPESampler(
                seed=int(state[0]), multivariate=True, group=True, constant_liar=True
            )

    def _train(self, mine: '_Mine') -> str | None:
        """Train a trial to its end; return why it failed, or ''; None if there was no need to."""
        number, trial = mine.number, mine.trial
        values = self._suggest(trial)
        folder = self.folder.of_trial(number)
        flags = results.as_arguments(values)
        again = '  (goes on)' if mine.again else ''
        print(f'trial {number}  {shlex.join(flags)}{again}', flush=True)
        best = self.found().best
        try:
            if twin := self._twin(trial, values):
                self._repeat(trial, twin)
                print(f'trial {number}  has the flags of trial {twin.number + 1}, so its error')
                return None
            row = self._train_run(trial, folder, values)
        except run.Stopped:
            self.study.tell(trial, state=_state('PRUNED'))
            rows = history.read_one(folder).rows
            print(
                f'trial {number}  stopped after epoch {rows[-1]["epoch"]}: validation error '
                f'{rows[-1]["valid_error"]:.2f} %',
                flush=True,
            )
            self._delete_weights(folder)
            return ''
        except Diverged:
            trial.set_user_attr('reason', 'diverged')
            self.study.tell(trial, state=_state('PRUNED'))
            print(f'trial {number}  diverged', flush=True)
            self._delete_weights(folder)
            return ''
        except UserError as error:
            return self._failed(trial, str(error))
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            return self._failed(trial, f'out of memory ({error})')
        self.study.tell(trial, row['valid_error'])
        first = best is None or best.error is None or row['valid_error'] < best.error
        print(
            f'trial {number}  validation error {row["valid_error"]:.2f} % (epoch {row["epoch"]})'
            f'{", the best so far" if first else ""}',
            flush=True,
        )
        return ''

    def _failed(self, trial: Any, reason: str) -> str:
        trial.set_user_attr('reason', reason)
        self.study.tell(trial, state=_state('FAIL'))
        tell(f'warning: trial {trial.number + 1}: {reason}')
        return reason

    def _delete_weights(self, folder: RunFolder) -> None:
        # Who once asked to keep them need not say it again to go on or to help.
        if not (self.settings.keep or self.study.user_attrs.get('keep')):
            folder.delete_weights()

    def _suggest(self, trial: Any) -> dict[str, Value]:
        """Choose the flags of a trial; what was chosen before stays."""
        values: dict[str, Value] = {}
        with _quiet():
            for place, (name, item) in enumerate(self.settings.space.searched.items(), 1):
                if not self.settings.space.has_meaning(name, values):
                    continue
                self._choose_sampler(trial.number, place)
                if isinstance(item, Range):
                    whole = isinstance(item.low, int)
                    suggest = trial.suggest_int if whole else trial.suggest_float
                    values[name] = item.rounded(suggest(name, item.low, item.high, log=item.log))
                else:
                    values[name] = trial.suggest_categorical(name, item.values)
        return values

    def _twin(self, trial: Any, values: Mapping[str, Value]) -> Any:
        """Find an earlier trial with the same flags, which would train the same."""
        for other in self.study.get_trials(deepcopy=False):
            if (
                other.number < trial.number
                and other.state.name in ('COMPLETE', 'PRUNED')
                and 'twin' not in other.user_attrs
                and results.values_of(other, self.settings.space) == values
            ):
                return other
        return None

    def _repeat(self, trial: Any, twin: Any) -> None:
        for epoch, error in twin.intermediate_values.items():
            trial.report(error, epoch)
        if reason := twin.user_attrs.get('reason'):
            trial.set_user_attr('reason', reason)
        trial.set_user_attr('twin', twin.number)
        if twin.state.name == 'COMPLETE':
            self.study.tell(trial, twin.value)
        else:
            self.study.tell(trial, state=twin.state)

    def _train_run(self, trial: Any, folder: RunFolder, values: Mapping[str, Value]) -> Row:
        """Train, or go on; return the row of the log that gives the result."""
        config = self.settings.space.config(values, folder.name)
        reported = set(self.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
        # A process that was killed may not have come to this.
        if reported and max(reported) < config.iter and trial.should_prune():
            done = history.read_one(folder)
            if done.best:
                figures.curves(done.rows, done.best, folder.name, folder.results)
            raise run.Stopped

        def watch(rows: Sequence[Row], last: bool = False) -> None:
            for row in rows:
                epoch = int(row['epoch'])
                if epoch in reported:
                    continue
                reported.add(epoch)
                trial.report(row['valid_error'], epoch)
                if epoch < config.iter and not last and trial.should_prune():
                    raise run.Stopped

        with _silent():
            if not folder.occupied():
                begin = self._same_data(config.dataset, config.label)
                run.start(config, begin=begin, watch=watch)
            elif not history.read_one(folder).finished_by(config.iter, config.patience):
                run.resume(folder, {}, watch=watch)
        done = history.read_one(folder)
        watch(done.rows, last=True)
        best = done.best
        assert best is not None  # it has trained an epoch
        return best

    def _same_data(self, *files: str) -> run.Begin:
        """Require the same data in all trials and on all machines."""

        def begin(data: Dataset) -> None:
            name, own = f'data {" ".join(files)}', data.checksum()
            with self.lock:
                first = self.study.user_attrs.get(name)
                if first is None:
                    self.study.set_user_attr(name, own)
            if first not in (None, own):
                raise UserError(
                    f'{files[0]}: not the data that earlier trials had (its checksum differs); '
                    f'make it again as it was, or begin another search'
                )

        return begin


class _Mine(NamedTuple):
    """A trial that this process is at."""

    number: int  # from 1
    trial: Any
    claim: claim.Claim
    again: bool


def lock_of(folder: RunFolder) -> Lock:
    """The lock for what one process does at a time."""
    make_folder(folder.models)
    return Lock(folder.models / 'search')


def begin(folder: RunFolder, settings: Settings, overwrite: bool) -> Search:
    """Begin a search, or go on with the one that is there.

    Raises:
        UserError: Another one is there; or a process is at what shall be overwritten; or a trial
            could not be trained.
    """
    if not folder.journal.exists() or overwrite:
        # Trials without a journal are of a search whose journal is gone.
        for place in [] if folder.journal.exists() else [folder, *folder.of_trials()]:
            # Another process may have begun the search meanwhile; its journal comes first.
            if (occupied := place.occupied()) and not folder.journal.exists():
                raise UserError(f'{occupied}: holds a run already; give another --name')
        with _silent():
            run.require_trainable(
                settings.space.config(values, folder.name) for values in settings.space.samples()
            )
        gc.collect()
    with lock_of(folder):
        if overwrite:
            folders.refuse_in_use([folder])
            for trial in folder.of_trials():
                held = claim.claim(trial)
                if held is None:
                    raise UserError(f'{trial.models}: another process is training into it; wait')
                held.release()
            folder.delete(keep=SEARCH_LOCKS)  # which this process holds
        make_folder(folder.results)
        study = journal.open_study(folder.journal)
        # The last one to be written says that all are there.
        if 'version' not in study.user_attrs:
            for name, value in settings.saved().items():
                study.set_user_attr(name, value)
        settings.require_same(folder, study.user_attrs)
        if settings.trials > study.user_attrs.get('trials', 0):
            study.set_user_attr('trials', settings.trials)
        if settings.keep and not study.user_attrs.get('keep'):
            study.set_user_attr('keep', True)
    return Search(folder, settings, study)


def _state(name: str) -> Any:
    return journal.optuna().trial.TrialState[name]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Drop what a run prints, which holds its test error; warnings and bars stay."""
    with open(os.devnull, 'w', encoding='utf-8') as null, contextlib.redirect_stdout(null):
        yield


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop Optuna's warnings that a part of it is new."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield
