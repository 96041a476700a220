"""One run in its folders: start or continue it, and write down what came out."""

import contextlib
import dataclasses
import datetime
import itertools
import math
import pathlib
import time

import filelock
import numpy as np

from chainer_cifar import config as train_config
from chainer_cifar import device as devices
from chainer_cifar import runs
from chainer_cifar.data import dataset, input_transform, normalize
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.evaluation import trained
from chainer_cifar.files import remove_leftovers
from chainer_cifar.optim import schedules
from chainer_cifar.runs import RunFolder
from chainer_cifar.streams import tell
from chainer_cifar.training import description, snapshot, trainer
from chainer_cifar.training.log import summarize
from chainer_cifar.weights.freeze import freeze
from chainer_cifar.weights.initialize import IMAGENET, initialize

# Flags that may change when a run is resumed. The data may have moved; that it is the same data is
# checked by its checksum. Of another number of epochs, `_compare_rates` warns where it matters.
FREE_ON_RESUME = ('gpu', 'cpu_engine', 'iter', 'save_iter', 'dataset', 'label')

DRY_RUN = 3  # iterations that are timed


def start(config, overwrite=False, named=True):
    """Train from the beginning into ``results/<prefix>`` and ``models/<prefix>``.

    Args:
        config (TrainConfig): The flags.
        overwrite (bool): Replace a run of that prefix.
        named (bool): The user chose the prefix; one that nobody chose gets a number if it is taken.

    Raises:
        UserError: There is a run of that prefix already, and not `overwrite`; or bad input.
    """
    if not (named or overwrite):
        config = _numbered(config)
    folder = RunFolder(config.prefix)
    _refuse_existing(folder, overwrite)
    device, data, transform, run = _build(config)
    with _lock(folder):
        _refuse_existing(folder, overwrite)
        folder.delete()
        description.begin(folder, config, device, data, transform)
        _train(config, run)


def resume(config, flags, path=None):
    """Continue a run from its newest whole snapshot, bit for bit as if it had not stopped.

    Args:
        config (TrainConfig): Its prefix says which run, if `path` does not.
        flags (dict): The flags typed beside ``--resume``.
        path (str): A snapshot, or a run's folder under models/ or results/.

    Raises:
        UserError: Nothing to resume, damaged, or a flag differs that must not.
    """
    saved, found = _find(config, path)
    for name, value in flags.items():
        if name not in FREE_ON_RESUME and value != getattr(saved, name):
            before = repr(getattr(saved, name)) if getattr(saved, name) != '' else 'none'
            raise UserError(
                f'--{name} {value}: the run to resume was started with {before}; '
                f'leave the flag out, or start a new run with another -p'
            )
    free = {name: value for name, value in flags.items() if name in FREE_ON_RESUME}
    config = dataclasses.replace(saved, **free)
    folder = RunFolder(config.prefix)
    device, data, transform, run = _build(config, restored=found is not None)
    updater = run.trainer.updater
    with _lock(folder):
        description.require_same_data(folder, config, data)
        description.add_missing(folder, transform)
        if found is not None:
            snapshot.restore(run, found, None if str(path).endswith('.npz') else folder)
            _compare_rates(saved, config, updater)
        if updater.epoch >= config.iter and updater.is_new_epoch:
            print(f'finished already; a larger --iter than {updater.epoch} would go on')
        else:
            description.add_resumption(folder, config, device, updater.iteration)
            print(
                f'{folder.models}: no snapshot yet, starting from the beginning'
                if found is None
                else f'resuming after iteration {updater.iteration}'
            )
        _train(config, run)


def dry_run(config):
    """Build everything and train on a few batches; write nothing."""
    device, *_, run = _build(config)
    updater = run.trainer.updater
    iterator = updater.get_iterator('main')
    updater.update()  # this one also prepares and compiles
    devices.synchronize(device)
    start = time.perf_counter()
    for _ in range(DRY_RUN):
        updater.update()
    devices.synchronize(device)
    rate = DRY_RUN * iterator.batch_size / (time.perf_counter() - start)
    epoch = datetime.timedelta(seconds=round(len(iterator.dataset) / rate))
    print(
        f'{1 + DRY_RUN} iterations done, about {rate:.0f} images/s: {epoch} to train an epoch, '
        f'{config.iter * epoch} all {config.iter}; nothing was written'
    )


def _build(config, restored=False):
    device = config.open_device()
    data = dataset.load(config.dataset, config.label)
    with prefixed('--normalize '):
        normalization = normalize.fit(config.normalize, data.train_images)
    transform = input_transform.from_dataset(config.dataset, normalization)
    run = trainer.create(config, data, device, normalization, transform.black)
    net = run.net
    n_train = len(run.trainer.updater.get_iterator('main').dataset)
    n_valid = len(data.train_labels) - n_train
    print(
        f'{config.model}: {net.count_params():,} parameters, {data.n_class} classes\n'
        f'{config.dataset}: {n_train:,} images to train, {n_valid:,} to validate, '
        f'{len(data.test_labels):,} to test\n'
        f'on {devices.in_words(devices.describe(device))}',
        flush=True,
    )
    # After the optimizer is set up, and before a snapshot is restored.
    if config.init and not restored:
        with prefixed('--init '):
            report = initialize(net, config.init)
        print(report, flush=True)
        _compare_input(net, config, transform)
    if config.freeze:
        with prefixed('--freeze '):
            frozen = freeze(net, config.freeze)
        print(f'frozen: {len(frozen)} of {sum(1 for _ in net.params())} arrays', flush=True)
    return device, data, transform, run


def _compare_input(net, config, transform):
    source = runs.find_weights(config.init)
    if config.init != IMAGENET and source.suffix == '.npz':
        different = trained.other_input(source, transform.preprocessing, config.normalize)
    else:
        wanted = getattr(net, 'input_normalization', config.normalize)
        same = wanted == config.normalize
        different = [] if same else [f'--normalize {wanted}, not {config.normalize}']
    if different:
        tell(f'warning: the weights were trained on images of {", of ".join(different)}')


def _train(config, run):
    # What overflows is told by FailOnNonNumber, once.
    with np.errstate(over='ignore', invalid='ignore'):
        run.trainer.run(show_loop_exception_msg=False)
    rate = run.progress.images_per_second(run.trainer)
    summary = summarize(config, run.log, run.trainer, rate)
    folder = RunFolder(config.prefix)
    print(
        f'test error {summary["test_error"]:.2f} %  '
        f'(epoch {summary["best_epoch"]}, {summary["chosen_by"]})\n'
        f'curves   {"  ".join(map(str, folder.curves))}\n'
        f'log      {folder.log}\n'
        f'weights  {folder.weights}'
    )


def _numbered(config):
    """`config`, with the first of the prefixes vgg_sgd, vgg_sgd-2, vgg_sgd-3 … that is free."""
    numbered = (f'{config.prefix}-{number}' for number in itertools.count(2))
    for prefix in itertools.chain([config.prefix], numbered):
        if not RunFolder(prefix).occupied():
            break
    if prefix != config.prefix:
        print(f'{config.prefix}: there is such a run already; this one is {prefix}', flush=True)
    return dataclasses.replace(config, prefix=prefix)


def _refuse_existing(folder, overwrite):
    if not overwrite and (occupied := folder.occupied()):
        raise UserError(
            f'{occupied}: holds a run already; continue it with --resume, replace it with '
            f'--overwrite, or choose another folder with -p'
        )


@contextlib.contextmanager
def _lock(folder):
    folder.models.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder.lock, timeout=0):
            remove_leftovers(folder.models)  # snapshots, mostly, and they are large
            yield
    except filelock.Timeout:
        raise UserError(
            f'{folder.models}: another process is training into it; wait, or choose another -p'
        ) from None


def _find(config, path):
    """The config and the snapshot (None: before its first) of the run to resume."""
    folder = RunFolder(config.prefix) if path is None else _folder_of(path)
    if path is not None and pathlib.Path(path).suffix == '.npz':
        found = snapshot.load(path)
    else:
        found = snapshot.newest(folder)
    if found is None:
        # Of one epoch, a line below the header, there may be a log and no snapshot yet.
        if folder.log.exists() and len(folder.log.read_bytes().splitlines()) > 2:
            raise UserError(
                f'{folder.models}: holds no snapshot of the run that {folder.log} tells of; '
                f'put it back, or start again with --overwrite'
            )
        saved = train_config.from_dict(description.read(folder)['flags'], folder.config)
    else:
        saved = found.config
    # The folder may have been renamed since.
    return dataclasses.replace(saved, prefix=folder.name), found


def _folder_of(path):
    folder = pathlib.Path(path).resolve()
    found = runs.containing(folder.parent if folder.suffix == '.npz' else folder)
    if found is None:
        raise UserError(
            f'--resume {path}: not under models/ or results/ of this directory; '
            f'give the folder of a run there, or a snapshot in it'
        )
    return found


def _compare_rates(saved, config, updater):
    old, new = (schedules.create(each)(updater.position) for each in (saved, config))
    if not math.isclose(old, new):
        tell(
            f'warning: --lr_shape {config.lr_shape} depends on --iter: the learning rate is now '
            f'{config.initial_rate * new:.3g}, from {config.initial_rate * old:.3g}'
        )
