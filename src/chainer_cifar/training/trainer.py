"""Put the training loop together from Chainer's parts. Read this file first.

    indices (shuffled) -> gather + augment on the device -> net -> loss -> optimizer   `Updater`
                                        -> average of the weights, if there is one
    after each epoch: evaluate -> log -> best weights -> curves -> table -> snapshot   extensions

Whatever changes with time is a pure function of it: the learning rate is one of the epoch, every
random number one of (seed, iteration). So any snapshot continues bit for bit.
"""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import chainer
import chainer.links as L
import numpy as np
from chainer.training import extension

from chainer_cifar import initial
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
from chainer_cifar.training.divergence import FailOnNonNumber, WarnOfChance
from chainer_cifar.training.log import BestWeights, Curves, Log
from chainer_cifar.training.progress import Progress
from chainer_cifar.training.snapshot import Snapshot
from chainer_cifar.training.tensorboard import TensorBoard

PREPARE = 5000  # images from which a net with a method `prepare` computes its first weights


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
    part = world.current.part(config.batch_size)
    class_weights = None
    if config.balance == 'loss':
        class_weights = balancing_weights(data.train_labels[split.train], data.n_class)
        class_weights = device.send(class_weights)
    functions: tuple[Loss, Loss] = (
        smoothed_cross_entropy(config.label_smoothing, class_weights),
        accuracy,
    )
    if config.precision == 'mixed16':
        functions = mixed.in_float32(functions[0]), mixed.in_float32(functions[1])
    model = L.Classifier(net, *functions)
    model.to_device(device)
    if hasattr(net, 'prepare'):
        net.prepare(normalization(train.xp, train.take(split.train[:PREPARE])[0]))
    masters = mixed.Masters(net) if config.precision == 'mixed16' else None
    average = masters or averaging.create(config.average, net)
    optimizer, rates = optimizers.create(config, model)
    if masters:
        masters.follow(optimizer)
    log = Log(config.last_counts)
    updater = Updater(
        iterator,
        parallel.join(optimizer),
        converter=train.augmenting_converter(
            augmentation, part, np.float16 if masters else np.float32
        ),
        device=device,
        config=config,
        rates=rates,
        average=average,
        log=log,
    )

    evaluated: dict[str, tuple[batches.DeviceImages, batches.Index]] = {
        'valid': (train, split.valid),
        'test': (test, range(len(test))),
    }
    if config.no_valid_data:
        del evaluated['valid']

    folder = RunFolder(config.prefix)
    first = world.current.first
    trainer = chainer.training.Trainer(
        updater,
        lambda trainer: is_over(config, updater, log),
        out=folder.results if first else pathlib.Path(),  # Chainer makes it, on other machines, too
    )
    # Evaluate this net, and keep its weights as the result.
    judged = average.net if average else net
    progress = Progress(log, config.iter)
    # Extensions of equal priority run in this order; `Snapshot` has the lowest, so it runs last.
    trainer.extend(FailOnNonNumber(net))
    trainer.extend(Evaluate(judged, evaluated, config.batch_size, progress), trigger=(1, 'epoch'))
    trainer.extend(log)
    if first:
        best = BestWeights(log, judged, folder, config.save_iter)
        trainer.extend(best, trigger=(1, 'epoch'))
        trainer.extend(Curves(log, config.prefix), trigger=(1, 'epoch'))
    trainer.extend(progress)
    if config.tensorboard and first:
        board = TensorBoard(config, judged, log, progress)
        # A trigger that leaves nothing in the snapshot.
        trainer.extend(board, trigger=lambda trainer: trainer.updater.is_new_epoch)
    trainer.extend(WarnOfChance(log, data.n_class), trigger=(1, 'epoch'))
    trainer.extend(Snapshot(config, net))
    return Run(trainer, net, log, progress)


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
        model = self.get_optimizer('main').target
        if self.config.accumulate == 1:
            super().update_core()
            reported = {'loss': model.loss.array, 'accuracy': model.accuracy.array}
        else:
            reported = self._update_in_parts()
        parallel.share_report(model, reported)
        if self.average:
            done = min(self.epoch_detail / self.config.iter, 1)
            self.average.after_update(self.iteration + 1, done)

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
        sets: Mapping[str, tuple[batches.DeviceImages, batches.Index]],
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
