"""Write the log, the best weights and the curves after each epoch, and the summary at the end."""

import contextlib
import csv
import io
import json
import pathlib
import textwrap
import time
from typing import TypeAlias, TypedDict

import chainer
import numpy as np
from chainer.training import extension

from chainer_cifar import figures, json_file, runs
from chainer_cifar.config import TrainConfig
from chainer_cifar.evaluation import history
from chainer_cifar.files import atomic_write
from chainer_cifar.streams import tell

Row: TypeAlias = dict[str, float]


class Log(extension.Extension):
    """Write a row for each epoch into ``log.csv`` and ``log.json``.

    A row holds ``epoch``, ``iteration``, ``lr`` (in the last iteration), and loss (nats) and error
    (percent) on ``train``, ``valid`` and ``test``. Those on ``train`` are means over the epoch's
    augmented batches, in training mode; with label smoothing the loss is the smoothed one, and in
    images mixed by mixup or cutmix the label with the larger share counts. The others come after
    the epoch, with the top-5 error where there are ten classes or more. There are no times, so the
    files of a resumed run equal those of an uninterrupted one, byte for byte.

    Args:
        last_counts: The last epoch gives the result, not that of the lowest validation error.

    Attributes:
        rows: The log so far.
    """

    def __init__(self, last_counts: bool = False) -> None:
        self.last_counts = last_counts
        self.rows: list[Row] = []
        self._lines: list[str] = []  # of log.csv
        self._objects: list[str] = []  # of log.json
        self._summary = chainer.reporter.DictSummary()

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        observation, updater = trainer.observation, trainer.updater
        for name in ('loss', 'accuracy'):
            value = observation[f'main/{name}']
            # In float32, the sum over tens of thousands of steps would lose digits.
            self._summary.add({name: getattr(value, 'array', value).astype(np.float64)})
        if not updater.is_new_epoch:
            return
        mean = self._summary.compute_mean()
        self._summary = chainer.reporter.DictSummary()
        row = {'epoch': updater.epoch, 'iteration': updater.iteration, 'lr': observation['lr']}
        row['train_loss'] = float(mean['loss'])
        row['train_error'] = 100 * (1 - float(mean['accuracy']))
        for name in ('valid', 'test'):
            if f'{name}/loss' in observation:
                row[f'{name}_loss'] = observation[f'{name}/loss']
                row[f'{name}_error'] = observation[f'{name}/error']
            # A run that an earlier version began has no such column.
            top_5 = f'{name}_top5_error'
            if f'{name}/top5_error' in observation and (not self.rows or top_5 in self.rows[0]):
                row[top_5] = observation[f'{name}/top5_error']
        self.rows.append(row)
        self.write(trainer.out)

    def write(self, folder: pathlib.Path) -> None:
        """Write both files into `folder`."""
        as_json = self._as_json()
        with atomic_write(folder / runs.LOG, 'w') as file:
            file.writelines(self._lines)
        with atomic_write(folder / runs.LOG_JSON, 'w') as file:
            file.write(as_json)

    def _as_json(self) -> str:
        self._format()
        return '[\n' + ',\n'.join(self._objects) + '\n]'

    def _format(self) -> None:
        """Format the rows that are new; all of them would take longer in each epoch."""
        new = self.rows[len(self._objects) :]
        if not new:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, self.rows[0])
        if not self._lines:
            writer.writeheader()
        writer.writerows(new)
        self._lines.append(text.getvalue())
        self._objects += [textwrap.indent(json.dumps(row, indent=1), ' ') for row in new]

    def best(self) -> Row:
        """Return the row that gives the run's result."""
        return history.best(self.rows, self.last_counts)

    def epochs_since_best(self) -> int:
        """Return the epochs since the last with a lower validation error than all before it."""
        return history.epochs_since_best(self.rows, self.last_counts)

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        self._summary.serialize(serializer['summary'])
        if isinstance(serializer, chainer.serializer.Serializer):
            serializer('rows', self._as_json())
        else:
            rows = json_file.loads(str(serializer('rows', '')))
            self.rows = history.checked_rows(rows, (*history.LOGGED, 'iteration', 'lr'))
            self._lines, self._objects = [], []


class BestWeights(extension.Extension):
    """Write the best epoch's weights into ``best.npz``, and some more into ``epoch-<n>.npz``.

    Args:
        log: Knows the best epoch.
        net: The net that is trained.
        folder: Where to write the files.
        every: Keep the weights of every so many epochs, too; 0: of none.
    """

    def __init__(self, log: Log, net: chainer.Chain, folder: runs.RunFolder, every: int) -> None:
        self.log = log
        self.net = net
        self.folder = folder
        self.every = every

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        if self.log.best() is self.log.rows[-1]:
            _save_weights(self.folder.weights, self.net)
        if self.every and trainer.updater.epoch % self.every == 0:
            _save_weights(self.folder.epoch_weights(trainer.updater.epoch), self.net)

    def after_resumption(self, updater: chainer.training.Updater, exact: bool) -> None:
        """Write ``best.npz`` if it is not of the best epoch; warn if its weights are gone.

        Args:
            updater: Of the run, restored from a snapshot.
            exact: The run repeats, bit for bit, what it did after that snapshot before.
        """
        rows, path = self.log.rows, self.folder.weights
        if not rows:
            return
        if self.log.last_counts:
            # In the middle of an epoch, its end will. There may be none to come; and those of a
            # fold that an earlier version trained are of the best epoch.
            if updater.is_new_epoch:
                _save_weights(path, self.net)
            return
        best = self.log.best()
        kept = self._epoch_kept()
        if kept == best['epoch']:
            return
        if best is rows[-1] and updater.is_new_epoch:
            _save_weights(path, self.net)
        elif not kept:
            tell(f'warning: {path}: is missing until one gets better than epoch {best["epoch"]}')
        elif kept > len(rows) and not exact:
            tell(
                f'warning: {path}: is of epoch {kept}, which this run leaves behind, and stays so '
                f'unless one gets better than epoch {best["epoch"]}'
            )

    def _epoch_kept(self) -> int:
        """The epoch that ``best.npz`` is of; 0 if it is missing."""
        if not self.folder.weights.exists():
            return 0
        # The log on the disk may be longer than that of a snapshot.
        rows: list[Row] = []
        with contextlib.suppress(OSError, ValueError):
            rows = history.checked_rows(json_file.read(self.folder.log_json))
        return int(history.best(rows or self.log.rows)['epoch'])


def _save_weights(path: pathlib.Path, net: chainer.Chain) -> None:
    with atomic_write(path) as file:
        chainer.serializers.save_npz(file, net, compression=False)


class Curves(extension.Extension):
    """Draw ``loss.png`` and ``error.png`` after an epoch, but not more often than each half minute.

    Args:
        log: What to draw.
        title: Text above the curves.
    """

    seconds = 30  # between two drawings

    def __init__(self, log: Log, title: str) -> None:
        self.log = log
        self.title = title
        self._drawn = time.monotonic()

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        self._folder = pathlib.Path(trainer.out)

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        if time.monotonic() - self._drawn > self.seconds:
            self.draw()

    def finalize(self) -> None:
        if self.log.rows:
            self.draw()

    def draw(self) -> None:
        """Draw both."""
        figures.curves(self.log.rows, self.log.best(), self.title, self._folder)
        self._drawn = time.monotonic()


class Summary(TypedDict):
    """The content of ``summary.json``."""

    test_error: float  # percent
    best_epoch: float
    chosen_by: str
    best: Row
    epochs: int
    seconds: float
    images_per_second: float


def summarize(
    config: TrainConfig, log: Log, trainer: chainer.training.Trainer, images_per_second: float
) -> Summary:
    """Write ``summary.json``: the result, how it was chosen, and how long the run took."""
    best = log.best()
    summary: Summary = {
        'test_error': best['test_error'],
        'best_epoch': best['epoch'],
        'chosen_by': 'last epoch' if config.last_counts else 'lowest validation error',
        'best': best,
        'epochs': len(log.rows),
        'seconds': round(trainer.elapsed_time, 1),
        'images_per_second': round(images_per_second, 1),
    }
    with atomic_write(runs.RunFolder(config.prefix).summary, 'w') as file:
        json.dump(summary, file, indent=1)
    return summary
