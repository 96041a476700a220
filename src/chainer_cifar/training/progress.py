"""Show how far training is: a line of a table for each epoch, a bar inside the epoch.

The table goes to standard output and suits a log file. The bars go to standard error, and only to a
terminal; or to a notebook.
"""

import contextlib
import datetime
import signal
import sys
import time
from collections.abc import Callable, Iterator

import chainer
from chainer.training import extension
from tqdm import tqdm

from chainer_cifar.streams import drop, progress_bar
from chainer_cifar.training.log import Log

_HEADER = (
    '                         train           valid            test\n'
    'epoch        lr    loss   error    loss   error    loss   error  images/s   elapsed       left'
)


class Progress(extension.Extension):
    """Table and bars of a run.

    Args:
        log: Collects the rows of the table.
        epochs: Number of epochs of the whole run.

    Attributes:
        seconds: Of training in the whole run, without evaluation.
    """

    def __init__(self, log: Log, epochs: int) -> None:
        self.log = log
        self.epochs = epochs
        self.seconds = 0.0
        self._bar = tqdm(disable=True)

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        iterator = trainer.updater.get_iterator('main')
        if iterator.epoch < self.epochs:
            _print(_HEADER)
            self._open_bar(iterator)
        self._mark = time.perf_counter()

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        iterator = trainer.updater.get_iterator('main')
        self.seconds += time.perf_counter() - self._mark
        # The last batch of an epoch may reach into the next.
        beyond = iterator.current_position if iterator.is_new_epoch else 0
        if self._bar.update(iterator.batch_size - beyond):
            loss = trainer.observation['main/loss']
            loss = float(getattr(loss, 'array', loss))  # a variable, or a sum of several
            self._bar.set_postfix(loss=f'{loss:.3f}', refresh=False)
        if iterator.is_new_epoch:
            self._bar.close()
            _print(self._line(trainer))
            self._open_bar(iterator)
        self._mark = time.perf_counter()

    def images_per_second(self, trainer: chainer.training.Trainer) -> float:
        """Compute the speed of training over the whole run, without evaluation."""
        updater = trainer.updater
        images: int = updater.iteration * updater.get_iterator('main').batch_size
        return images / self.seconds

    @contextlib.contextmanager
    def evaluating(self, n: int) -> Iterator[Callable[[int], object]]:
        """Stop the clock of training and show a bar for `n` images; yield the bar's ``update``."""
        start = time.perf_counter()
        with progress_bar('evaluate', n) as bar:
            yield bar.update
        self._mark += time.perf_counter() - start

    def finalize(self) -> None:
        self._bar.close()

    def _open_bar(self, iterator: chainer.dataset.Iterator) -> None:
        if iterator.epoch < self.epochs:
            what, done = f'epoch {iterator.epoch + 1}/{self.epochs}', iterator.current_position
            self._bar = progress_bar(what, len(iterator.dataset), initial=done)

    def _line(self, trainer: chainer.training.Trainer) -> str:
        row = self.log.rows[-1]
        line = f'{row["epoch"]:5d} {row["lr"]:9.3g}'
        for name in ('train', 'valid', 'test'):
            loss, error = row.get(f'{name}_loss'), row.get(f'{name}_error')
            line += '       -       -' if loss is None else f'{loss_column(loss)}{error:7.2f}%'
        left = trainer.elapsed_time / row['epoch'] * (self.epochs - row['epoch'])
        line += f'{self.images_per_second(trainer):10.1f}'
        line += f'{_clock(trainer.elapsed_time):>10}{_clock(left):>11}'
        chosen = not self.log.last_counts and self.log.best() is row
        return line + ('  best' if chosen else '')

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        self.seconds = serializer('seconds', self.seconds)


def _print(text: str) -> None:
    """Print at once, even into a file, and without tearing a bar on the screen."""
    try:
        with tqdm.external_write_mode():
            print(text, flush=True)
    except BrokenPipeError:
        # The reader (`| head`, `| tee`) has left. Stop as on SIGTERM, which keeps a snapshot.
        drop(sys.stdout)
        signal.raise_signal(signal.SIGTERM)


def loss_column(value: float) -> str:
    """Format a loss, even a huge one, in eight characters, the first of them a space."""
    return f'{value:8.4f}' if value < 1000 else f'{value:8.1e}'


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
