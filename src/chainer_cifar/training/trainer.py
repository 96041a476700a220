"""The training loop, put together from Chainer's parts. Read this file first.

    indices (shuffled) -> gather + augment on the device -> net -> loss -> optimizer   `Updater`
                                        -> average of the weights, if there is one
    after each epoch: evaluate -> log -> best weights -> curves -> table -> snapshot   extensions

Whatever changes with time is a pure function of it: the learning rate of the epoch, every random
number of (seed, iteration). So the snapshot of any iteration continues bit for bit.
"""

from typing import NamedTuple

import chainer
import chainer.links as L
from chainer.training import extension

from chainer_cifar import initial
from chainer_cifar.data import augment, batches
from chainer_cifar.device import synchronize
from chainer_cifar.errors import prefixed
from chainer_cifar.evaluation.metrics import loss_and_errors
from chainer_cifar.optim import averaging, optimizers, schedules
from chainer_cifar.optim.losses import accuracy, balancing_weights, smoothed_cross_entropy
from chainer_cifar.randomness import seed_all
from chainer_cifar.runs import RunFolder
from chainer_cifar.training.divergence import FailOnNonNumber, WarnOfChance
from chainer_cifar.training.log import BestWeights, Curves, Log
from chainer_cifar.training.progress import Progress
from chainer_cifar.training.snapshot import Snapshot

PREPARE = 5000  # images from which a net computes its first weights, where it does


class Run(NamedTuple):
    """A run in this process: what drives it, and what it is asked for; see `create`."""

    trainer: chainer.training.Trainer
    net: chainer.Chain
    log: Log
    progress: Progress


def create(config, data, device, normalization, black=None):
    """Everything a run needs, ready for ``trainer.run()``.

    Args:
        config (TrainConfig): The flags.
        data (chainer_cifar.data.dataset.Dataset): Images, labels and class names.
        device (chainer.backend.Device): Where to train.
        normalization (Normalization): What is done to each batch, after augmentation.
        black (float): Of the images' pixels before that, if known; see `InputTransform.black`.

    Returns:
        Run
    """
    with prefixed('--augment '):
        augmentation = augment.create(config.augment, config.seed, data.n_class, black)
    net, split, iterator = initial.draw(config, data.n_class, data.train_labels, device)
    train = batches.DeviceImages(data.train_images, data.train_labels, device, normalization)
    test = batches.DeviceImages(data.test_images, data.test_labels, device, normalization)
    class_weights = None
    if config.balance == 'loss':
        class_weights = balancing_weights(data.train_labels[split.train], data.n_class)
        class_weights = device.send(class_weights)
    loss = smoothed_cross_entropy(config.label_smoothing, class_weights)
    model = L.Classifier(net, loss, accuracy)
    model.to_device(device)
    if hasattr(net, 'prepare'):
        net.prepare(normalization(train.xp, train.take(split.train[:PREPARE])[0]))
    average = averaging.create(config.average, net)
    optimizer, rates = optimizers.create(config, model)
    log = Log()
    updater = Updater(
        iterator,
        optimizer,
        converter=train.augmenting_converter(augmentation),
        device=device,
        config=config,
        rates=rates,
        average=average,
        log=log,
    )

    evaluated = {'valid': (train, split.valid), 'test': (test, range(len(test)))}
    if config.no_valid_data:
        del evaluated['valid']

    folder = RunFolder(config.prefix)
    trainer = chainer.training.Trainer(
        updater, lambda trainer: is_over(config, updater, log), out=folder.results
    )
    # What is judged, and kept as the result.
    judged = average.net if average else net
    progress = Progress(log, config.iter)
    # Those of the same priority run in this order; `Snapshot` has the lowest and sees it all done.
    trainer.extend(FailOnNonNumber(net))
    trainer.extend(Evaluate(judged, evaluated, config.batch_size, progress), trigger=(1, 'epoch'))
    trainer.extend(log)
    trainer.extend(BestWeights(log, judged, folder, config.save_iter), trigger=(1, 'epoch'))
    trainer.extend(Curves(log, config.prefix), trigger=(1, 'epoch'))
    trainer.extend(progress)
    trainer.extend(WarnOfChance(log, data.n_class), trigger=(1, 'epoch'))
    trainer.extend(Snapshot(config, net))
    return Run(trainer, net, log, progress)


def is_over(config, updater, log):
    """Are all epochs done, or was none of the last ``--patience`` better than those before?"""
    if updater.epoch >= config.iter:
        return True
    return bool(config.patience) and log.epochs_since_best() >= config.patience


class Updater(chainer.training.updaters.StandardUpdater):
    """Chainer's updater, which first sets the random states and the learning rates for this step.

    Args:
        config (TrainConfig): The flags.
        rates (groups.Rates): Sets the learning rates.
        average (averaging.Average): Follows the weights; or None.
        log (Log): Of the run, for its schedule.

    Attributes:
        rate: A function of a `Position` that gives the learning rate.
    """

    def __init__(self, *args, config, rates, average, log, **kwargs):
        super().__init__(*args, **kwargs)
        self.config = config
        self.rates = rates
        self.average = average
        self.log = log
        factor = schedules.create(config)
        self.rate = lambda position: config.initial_rate * factor(position)

    @property
    def position(self):
        """Where the run is, for its schedule."""
        return schedules.Position(self.epoch_detail, self.iteration, self.log.rows)

    def update_core(self):
        seed_all(self.config.seed, self.iteration, self.device)
        rate = self.rate(self.position)
        self.rates.set(rate, self.epoch_detail)
        chainer.report({'lr': rate})
        if self.average and self.iteration == 0:
            self.average.begin()  # not before: weights may have come from a file
        if self.config.accumulate == 1:
            super().update_core()
        else:
            self._update_in_parts()
        if self.average:
            done = min(self.epoch_detail / self.config.iter, 1)
            self.average.after_update(self.iteration + 1, done)

    def _update_in_parts(self):
        """An update by the sum of the gradients of ``--accumulate`` parts of the batch."""
        optimizer, batch = self.get_optimizer('main'), self.get_iterator('main').next()
        inputs = self.converter(batch, self.device)
        model, n = optimizer.target, len(batch)
        model.cleargrads()
        sums = {'loss': 0, 'accuracy': 0}
        size = -(-n // self.config.accumulate)
        for start in range(0, n, size):
            part = [array[start : start + size] for array in inputs]
            share = len(part[0]) / n
            loss = model(*part) * share
            loss.backward()
            sums['loss'] += loss.array
            sums['accuracy'] += model.accuracy.array * share
        chainer.report(sums, model)
        optimizer.update()

    def serialize(self, serializer):
        super().serialize(serializer)
        if self.average:
            self.average.serialize(serializer['average'])


class Evaluate(extension.Extension):
    """Loss and errors on each of `sets` after an epoch, reported as ``valid/loss`` and so on.

    Args:
        net (chainer.Chain): The net that is trained, or the average of its weights.
        sets (dict): From a name to `DeviceImages` and the indices of those that count.
        batch_size (int): Images at a time.
        progress (Progress): Shows how far it is.
    """

    priority = extension.PRIORITY_WRITER

    def __init__(self, net, sets, batch_size, progress):
        self.net = net
        self.sets = sets
        self.batch_size = batch_size
        self.progress = progress

    def __call__(self, trainer):
        n = sum(len(index) for _, index in self.sets.values())
        synchronize(trainer.updater.device)  # what is under way is still training
        with self.progress.evaluating(n) as advance:
            for name, (images, index) in self.sets.items():
                batches = images.batches(index, self.batch_size)
                found = loss_and_errors(self.net, batches, advance)
                chainer.report({f'{name}/{what}': value for what, value in found.items()})
