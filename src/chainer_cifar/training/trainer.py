"""The training loop, put together from Chainer's parts. Read this file first.

    indices (shuffled) -> gather + augment on the device -> net -> loss -> optimizer   `Updater`
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
from chainer_cifar.evaluation.metrics import loss_and_error
from chainer_cifar.optim import optimizers, schedules
from chainer_cifar.optim.losses import accuracy, smoothed_cross_entropy
from chainer_cifar.randomness import seed_all
from chainer_cifar.runs import RunFolder
from chainer_cifar.training.divergence import FailOnNonNumber, WarnOfChance
from chainer_cifar.training.log import BestWeights, Curves, Log
from chainer_cifar.training.progress import Progress
from chainer_cifar.training.snapshot import Snapshot


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
    net, split, iterator = initial.draw(config, data.n_class, len(data.train_labels), device)
    model = L.Classifier(net, smoothed_cross_entropy(config.label_smoothing), accuracy)
    model.to_device(device)
    optimizer, rate_name = optimizers.create(config, model)

    train = batches.DeviceImages(data.train_images, data.train_labels, device, normalization)
    test = batches.DeviceImages(data.test_images, data.test_labels, device, normalization)
    with prefixed('--augment '):
        augmentation = augment.create(config.augment, config.seed, data.n_class, black)
    log = Log()
    updater = Updater(
        iterator,
        optimizer,
        converter=train.augmenting_converter(augmentation),
        device=device,
        config=config,
        rate_name=rate_name,
        log=log,
    )

    evaluated = {'valid': (train, split.valid), 'test': (test, range(len(test)))}
    if config.no_valid_data:
        del evaluated['valid']

    folder = RunFolder(config.prefix)
    trainer = chainer.training.Trainer(
        updater, lambda trainer: trainer.updater.epoch >= config.iter, out=folder.results
    )
    progress = Progress(log, config.iter)
    # Those of the same priority run in this order; `Snapshot` has the lowest and sees it all done.
    trainer.extend(FailOnNonNumber(net))
    trainer.extend(Evaluate(net, evaluated, config.batch_size, progress), trigger=(1, 'epoch'))
    trainer.extend(log)
    trainer.extend(BestWeights(log, net, folder, config.save_iter), trigger=(1, 'epoch'))
    trainer.extend(Curves(log, config.prefix), trigger=(1, 'epoch'))
    trainer.extend(progress)
    trainer.extend(WarnOfChance(log, data.n_class), trigger=(1, 'epoch'))
    trainer.extend(Snapshot(config, net))
    return Run(trainer, net, log, progress)


class Updater(chainer.training.updaters.StandardUpdater):
    """Chainer's updater, which first sets the random states and the learning rate for this step."""

    def __init__(self, *args, config, rate_name, log, **kwargs):
        super().__init__(*args, **kwargs)
        self.config = config
        self.rate_name = rate_name
        self.log = log
        self.factor = schedules.create(config)

    @property
    def position(self):
        """Where the run is, for its schedule."""
        return schedules.Position(self.epoch_detail, self.iteration, self.log.rows)

    def update_core(self):
        seed_all(self.config.seed, self.iteration, self.device)
        rate = self.config.initial_rate * self.factor(self.position)
        setattr(self.get_optimizer('main'), self.rate_name, rate)
        chainer.report({'lr': rate})
        super().update_core()


class Evaluate(extension.Extension):
    """Loss and error on each of `sets` after an epoch, reported as ``valid/loss`` and so on.

    Args:
        net (chainer.Chain): The net that is trained.
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
                loss, error = loss_and_error(self.net, batches, advance)
                chainer.report({f'{name}/loss': loss, f'{name}/error': error})
