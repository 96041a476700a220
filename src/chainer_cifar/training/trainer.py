"""Put the training loop together from Chainer's parts. Read this file first.

    indices (shuffled) -> gather + augment on the device -> net -> loss -> optimizer   `Updater`
                                        -> average of the weights, if there is one
    after each epoch: evaluate -> log -> best weights -> curves -> table -> snapshot   extensions

Whatever changes with time is a pure function of it: the learning rate is one of the epoch, every
random number one of (seed, iteration). So any snapshot continues bit for bit.
"""

import contextlib
import pathlib
from typing import Any, NamedTuple, TypeAlias

import chainer
import chainer.links as L
import numpy as np
from chainer.training import extension

from chainer_cifar import initial
from chainer_cifar.arrays import Array
from chainer_cifar.config import TrainConfig
from chainer_cifar.data import augment, batches
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.device import synchronize
from chainer_cifar.errors import prefixed
from chainer_cifar.evaluation.metrics import loss_and_errors
from chainer_cifar.optim import averaging, groups, mixed, optimizers, schedules
from chainer_cifar.optim.losses import Loss, accuracy, balancing_weights, smoothed_cross_entropy
from chainer_cifar.parallel import training as parallel
from chainer_cifar.parallel import world
from chainer_cifar.randomness import seed_all
from chainer_cifar.runs import RunFolder
from chainer_cifar.training.divergence import FailOnNonNumber, WarnOfChance, single_values_told
from chainer_cifar.training.log import BestWeights, Curves, Log
from chainer_cifar.training.progress import Progress
from chainer_cifar.training.snapshot import Snapshot
from chainer_cifar.training.tensorboard import TensorBoard

PREPARE = 5000  # images from which a net with a method `prepare` computes its first weights

# Images, and the indices of those that count, by name.
Sets: TypeAlias = dict[str, tuple[batches.DeviceImages, batches.Index]]


class Run(NamedTuple):
    """The parts of a run in this process; see `create`."""

    trainer: chainer.training.Trainer
    net: chainer.Chain
    log: Log
    progress: Progress


def create(
    config: TrainConfig,
    data: Dataset,
    device: chainer.backend.Device,
    normalization: Normalization,
    black: float | None = None,
) -> Run:
    """Make the parts of a run, ready for ``trainer.run()``.

    Args:
        config: The flags.
        data: Images, labels and class names.
        device: Where to train.
        normalization: What to do to each batch after augmentation.
        black: The value of black pixels before that, if known; see `InputTransform.black`.

    Raises:
        UserError: A flag does not fit the data.
    """
    with prefixed('--augment '):
        augmentation = augment.create(config.augment, config.seed, data.n_class, black, data.shape)
    with mixed.creating_nets(config.precision):
        net, split, iterator = initial.draw(config, data, device)
    train = batches.DeviceImages(data.train_images, data.train_labels, device, normalization)
    test = batches.DeviceImages(data.test_images, data.test_labels, device, normalization)
    model = _model(config, net, data.train_labels[split.train], data.n_class, device)
    if hasattr(net, 'prepare'):
        net.prepare(normalization(train.xp, train.take(split.train[:PREPARE])[0]))
    masters = mixed.Masters(net) if config.precision == 'mixed16' else None
    average = masters or averaging.create(config.average, net)
    optimizer, rates = optimizers.create(config, model)
    if masters:
        masters.follow(optimizer)
    log = Log(config.last_counts)
    part, dtype = world.current.part(config.batch_size), np.float16 if masters else np.float32
    updater = Updater(
        iterator,
        parallel.join(optimizer),
        converter=train.augmenting_converter(augmentation, part, dtype),
        device=device,
        config=config,
        rates=rates,
        average=average,
        log=log,
    )
    # Chainer makes the folder, on other machines, too.
    out = RunFolder(config.prefix).results if world.current.first else pathlib.Path()
    trainer = chainer.training.Trainer(updater, lambda _: is_over(config, updater, log), out)
    run = Run(trainer, net, log, Progress(log, config.iter))
    sets: Sets = {} if config.no_valid_data else {'valid': (train, split.valid)}
    sets['test'] = test, range(len(test))
    _extend(config, run, average.net if average else net, sets, data.n_class)
    return run


def _model(
    config: TrainConfig,
    net: chainer.Chain,
    labels: Array,
    n_class: int,
    device: chainer.backend.Device,
) -> L.Classifier:
    """Put the loss behind the net, on the device; `labels` are those of the images that train."""
    class_weights = None
    if config.balance == 'loss':
        class_weights = device.send(balancing_weights(labels, n_class))
    functions: list[Loss] = [
        smoothed_cross_entropy(config.label_smoothing, class_weights),
        accuracy,
    ]
    if config.precision == 'mixed16':
        functions = [mixed.in_float32(function) for function in functions]
    model = L.Classifier(net, *functions)
    model.to_device(device)
    return model


def _extend(config: TrainConfig, run: Run, judged: chainer.Chain, sets: Sets, n_class: int) -> None:
    """Let all look on that evaluates, logs, draws and saves.

    Args:
        config: The flags.
        run: Without extensions yet.
        judged: The net that is evaluated, whose weights are the result.
        sets: What it is evaluated on.
        n_class: Number of classes.
    """
    trainer, net, log, progress = run
    each_epoch, first = (1, 'epoch'), world.current.first
    # Extensions of equal priority run in this order; `Snapshot` has the lowest, so it runs last.
    trainer.extend(FailOnNonNumber(net))
    trainer.extend(Evaluate(judged, sets, config.batch_size, progress), trigger=each_epoch)
    trainer.extend(log)
    if first:
        best = BestWeights(log, judged, RunFolder(config.prefix), config.save_iter)
        trainer.extend(best, trigger=each_epoch)
        trainer.extend(Curves(log, config.prefix), trigger=each_epoch)
    trainer.extend(progress)
    if config.tensorboard and first:
        board = TensorBoard(config, judged, log, progress)
        # A trigger that leaves nothing in the snapshot.
        trainer.extend(board, trigger=lambda trainer: trainer.updater.is_new_epoch)
    trainer.extend(WarnOfChance(log, n_class), trigger=each_epoch)
    trainer.extend(Snapshot(config, net))


def is_over(config: TrainConfig, updater: chainer.training.Updater, log: Log) -> bool:
    """Say whether all epochs are done, or the last ``--patience`` ones brought no new best."""
    if updater.epoch >= config.iter:
        return True
    return bool(config.patience) and log.epochs_since_best() >= config.patience


class Updater(chainer.training.updaters.StandardUpdater):
    """Do as Chainer's updater, but first set the random states and learning rates for the step.

    Args:
        config: The flags.
        rates: Sets the learning rates.
        average: Follows the weights; or None.
        log: The log of the run, for its schedule.

    Attributes:
        rate: A function from a `Position` to the learning rate.
    """

    def __init__(
        self,
        *args: Any,
        config: TrainConfig,
        rates: groups.Rates,
        average: averaging.Average | None,
        log: Log,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.config = config
        self.rates = rates
        self.average = average
        self.log = log
        self._begun = False  # in this process, that is
        factor = schedules.create(config)
        self.rate: schedules.Factor = lambda position: config.initial_rate * factor(position)

    @property
    def position(self) -> schedules.Position:
        """The place in the run, for its schedule."""
        return schedules.Position(self.epoch_detail, self.iteration, self.log.rows)

    def update_core(self) -> None:
        seed_all(self.config.seed, self.iteration, self.device)
        rate = self.rate(self.position)
        self.rates.set(rate, self.epoch_detail)
        chainer.report({'lr': rate})
        if self.average and self.iteration == 0:
            self.average.begin()  # not earlier, since the weights may come from a file
        # All mini-batches have the size of the first.
        watch = contextlib.nullcontext() if self._begun else single_values_told(self.config)
        with watch:
            reported = self._update()
        self._begun = True
        parallel.share_report(self.get_optimizer('main').target, reported)
        if self.average:
            done = min(self.epoch_detail / self.config.iter, 1)
            self.average.after_update(self.iteration + 1, done)

    def _update(self) -> dict[str, Any]:
        """Update the weights; return loss and accuracy of the mini-batch."""
        if self.config.accumulate > 1:
            return self._update_in_parts()
        super().update_core()
        model = self.get_optimizer('main').target
        return {'loss': model.loss.array, 'accuracy': model.accuracy.array}

    def _update_in_parts(self) -> dict[str, Any]:
        """Update by the sum of the gradients of ``--accumulate`` parts of the batch."""
        optimizer, batch = self.get_optimizer('main'), self.get_iterator('main').next()
        inputs = self.converter(batch, self.device)
        model, n = optimizer.target, len(inputs[0])
        model.cleargrads()
        sums: dict[str, Any] = {'loss': 0, 'accuracy': 0}
        # As even as can be: batch normalization of a last part of one image would be mere noise.
        parts = min(self.config.accumulate, n)
        for part in zip(*(model.xp.array_split(array, parts) for array in inputs), strict=True):
            share = len(part[0]) / n
            loss = model(*part) * share
            loss.backward(loss_scale=optimizer._loss_scale)
            sums['loss'] += loss.array
            sums['accuracy'] += model.accuracy.array * share
            del loss  # it holds the maps of this part, and the next one is computed before it goes
        chainer.report(sums, model)
        optimizer.update()
        return sums

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        super().serialize(serializer)
        if self.average:
            self.average.serialize(serializer)


class Evaluate(extension.Extension):
    """Report loss and errors on each of `sets` after an epoch, as ``valid/loss`` and so on.

    Args:
        net: The net that is trained, or the average of its weights.
        sets: Images, and the indices of those that count, by name.
        batch_size: Images at a time.
        progress: Shows how far the evaluation is.
    """

    priority = extension.PRIORITY_WRITER

    def __init__(
        self,
        net: chainer.Chain,
        sets: Sets,
        batch_size: int,
        progress: Progress,
    ) -> None:
        self.net = net
        self.sets = sets
        self.batch_size = batch_size
        self.progress = progress

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        own = {name: self._own(index) for name, (_, index) in self.sets.items()}
        n = sum(map(len, own.values()))
        synchronize(trainer.updater.device)  # finish the training first
        with self.progress.evaluating(n) as advance:
            for name, (images, _) in self.sets.items():
                own_batches = images.batches(own[name], self.batch_size)
                gather = world.current.gather
                found = loss_and_errors(self.net, own_batches, advance, gather)
                chainer.report({f'{name}/{what}': value for what, value in found.items()})

    def _own(self, index: batches.Index) -> batches.Index:
        """Return the images of the batches that this process evaluates."""
        size = self.batch_size
        every = [index[start : start + size] for start in range(0, len(index), size)]
        return np.concatenate([np.asarray(index)[:0], *world.current.mine(every)])
