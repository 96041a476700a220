"""What a run writes down after each epoch: the log, the best weights, the curves, the summary."""

import csv
import json
import time

import chainer
from chainer.training import extension

from chainer_cifar import figures, runs
from chainer_cifar.evaluation import history
from chainer_cifar.files import atomic_write


class Log(extension.Extension):
    """One row an epoch, in ``log.csv`` and ``log.json``.

    A row holds ``epoch``, ``iteration``, ``lr`` (of the last iteration), and loss (nats) and error
    (percent) on ``train`` (mean over the epoch's augmented batches, in training mode; its loss is
    what is minimised, so with label smoothing it is not plain cross-entropy), ``valid``
    and ``test`` (after the epoch). No times: so the files of a resumed run are those of an
    uninterrupted one, byte for byte.

    Attributes:
        rows (list of dict): The log so far.
    """

    def __init__(self):
        self.rows = []
        self._summary = chainer.reporter.DictSummary()

    def __call__(self, trainer):
        observation, updater = trainer.observation, trainer.updater
        self._summary.add({name: observation[f'main/{name}'] for name in ('loss', 'accuracy')})
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
        self.rows.append(row)
        self.write(trainer.out)

    def write(self, folder):
        with atomic_write(folder / runs.LOG, 'w') as file:
            writer = csv.DictWriter(file, self.rows[0])
            writer.writeheader()
            writer.writerows(self.rows)
        with atomic_write(folder / runs.LOG_JSON, 'w') as file:
            json.dump(self.rows, file, indent=1)

    def best(self):
        """The row that gives the run's result."""
        return history.best(self.rows)

    def serialize(self, serializer):
        self._summary.serialize(serializer['summary'])
        if isinstance(serializer, chainer.serializer.Serializer):
            serializer('rows', json.dumps(self.rows))
        else:
            self.rows = json.loads(str(serializer('rows', '')))


class BestWeights(extension.Extension):
    """Weights of the best epoch in ``best.npz``; of every `every` epochs in ``epoch-<n>.npz``.

    Args:
        log (Log): Of the run.
        net (chainer.Chain): Its net.
        folder (RunFolder): Its folders.
        every (int): 0 keeps those of the best epoch only.
    """

    def __init__(self, log, net, folder, every):
        self.log = log
        self.net = net
        self.folder = folder
        self.every = every

    def __call__(self, trainer):
        if self.log.best() is self.log.rows[-1]:
            _save_weights(self.folder.weights, self.net)
        if self.every and trainer.updater.epoch % self.every == 0:
            _save_weights(self.folder.epoch_weights(trainer.updater.epoch), self.net)


def _save_weights(path, net):
    with atomic_write(path) as file:
        chainer.serializers.save_npz(file, net, compression=False)


class Curves(extension.Extension):
    """``loss.png`` and ``error.png``, drawn anew after an epoch, half a minute apart at least."""

    seconds = 30

    def __init__(self, log, title):
        self.log = log
        self.title = title
        self._drawn = time.monotonic()

    def initialize(self, trainer):
        self._folder = trainer.out

    def __call__(self, trainer):
        if time.monotonic() - self._drawn > self.seconds:
            self.draw()

    def finalize(self):
        if self.log.rows:
            self.draw()

    def draw(self):
        figures.curves(self.log.rows, self.log.best(), self.title, self._folder)
        self._drawn = time.monotonic()


def summarize(run, config):
    """Write ``summary.json``: the result, where it comes from, and how long it took.

    Args:
        run (Run): A run that has ended; see trainer.py.
        config (TrainConfig): Its flags.

    Returns:
        dict: What the file holds.
    """
    best = run.log.best()
    summary = {
        'test_error': best['test_error'],
        'best_epoch': best['epoch'],
        'chosen_by': 'last epoch' if config.no_valid_data else 'lowest validation error',
        'best': best,
        'epochs': len(run.log.rows),
        'seconds': round(run.trainer.elapsed_time, 1),
        'images_per_second': round(run.progress.images_per_second(run.trainer), 1),
    }
    with atomic_write(runs.RunFolder(config.prefix).summary, 'w') as file:
        json.dump(summary, file, indent=1)
    return summary
