"""Start or continue a run in its folders, and write down its result."""

import dataclasses
import datetime
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import chainer

from chainer_cifar import config as train_config
from chainer_cifar import device as devices
from chainer_cifar import figures, runs
from chainer_cifar.config import TrainConfig
from chainer_cifar.data import dataset, input_transform, normalize
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.errors import Diverged, Interrupted, UserError, prefixed
from chainer_cifar.evaluation import trained
from chainer_cifar.optim import optimizers, schedules
from chainer_cifar.parallel import normalization as parallel_normalization
from chainer_cifar.parallel import training as parallel
from chainer_cifar.parallel import world
from chainer_cifar.runs import RunFolder
from chainer_cifar.streams import tell
from chainer_cifar.training import description, folders, rate_test, snapshot, tensorboard, trainer
from chainer_cifar.training.divergence import quiet_numbers
from chainer_cifar.training.log import Row, summarize
from chainer_cifar.weights.freeze import freeze
from chainer_cifar.weights.initialize import IMAGENET, initialize

# Flags that may change when a run resumes. The user may have moved the data; its checksum tells if
# it is the same. `_compare_rates` warns if another number of epochs changes the learning rate.
FREE_ON_RESUME = (
    *('gpu', 'processes', 'cpu_engine', 'iter', 'patience', 'save_iter', 'dataset', 'label'),
    'tensorboard',
)


DRY_RUN = 3  # iterations to time

# Called with the data after all checks, before anything is written.
Begin: TypeAlias = Callable[[Dataset], object]

# Called with the log after each epoch, when its snapshot is written.
Watch: TypeAlias = Callable[[Sequence[Row]], object]


class Stopped(Exception):
    """Who watches a run ends it early."""


class _Built(NamedTuple):
    device: chainer.backend.Device
    data: Dataset
    transform: InputTransform
    run: trainer.Run


def start(
    config: TrainConfig,
    overwrite: bool = False,
    named: bool = True,
    begin: Begin = lambda data: None,
    watch: Watch | None = None,
) -> None:
    """Train from the beginning into ``results/<prefix>`` and ``models/<prefix>``.

    Args:
        config: The flags.
        overwrite: Replace a run with that prefix.
        named: The user chose the prefix; otherwise it gets a number if it is taken.
        begin: See `Begin`.
        watch: Looks on; ends the run by raising `Stopped`.

    Raises:
        UserError: There is a run with that prefix, and `overwrite` is false; or the input is bad.
    """
    if not (named or overwrite):
        chosen = config  # which the function below takes as it is now
        config = world.current.from_first(lambda: folders.numbered(chosen))
    folder, first = RunFolder(config.prefix), world.current.first
    if first:
        folders.refuse_existing(folder, overwrite)
    device, data, transform, run = _build(config)
    with folders.locked(folder):
        if first:
            folders.refuse_existing(folder, overwrite)
            begin(data)
            folder.delete()
            description.begin(folder, config, device, data, transform)
        _train(config, run, watch)


def resume(
    folder: RunFolder,
    flags: Mapping[str, Any],
    path: str | None = None,
    watch: Watch | None = None,
) -> None:
    """Continue a run from its newest whole snapshot, bit for bit as if it had not stopped.

    Args:
        folder: The run.
        flags: The flags that the user typed beside ``--resume``.
        path: A snapshot of it other than the newest whole one.
        watch: Looks on, as in `start`.

    Raises:
        UserError: There is nothing to resume, it is damaged, or a flag differs that must not.
    """
    together = world.current
    found: snapshot.Found | None = None
    if together.first:
        saved, found = _find(folder, path)
    # The others may be on machines without these files.
    saved, restored = together.from_first(lambda: (saved, found is not None))
    config = changed(saved, flags)
    device, data, transform, run = _build(config, restored)
    updater = run.trainer.updater
    with folders.locked(folder):
        if together.first:
            description.require_same_data(folder, config, data)
            description.add_missing(folder, transform)
        if restored:
            older = folder if path is None else None
            snapshot.share(run.trainer, snapshot.restore(run.trainer, found, older))
            _compare_rates(saved, config, updater)
            if together.first:
                best = run.trainer.get_extension('BestWeights')
                best.after_resumption(updater, exact=config == saved)
            if config.processes != saved.processes:
                tell(
                    f'warning: {config.processes} processes, before {saved.processes}: the run '
                    f'goes on within rounding, not bit for bit'
                )
        over = updater.is_new_epoch and trainer.is_over(config, updater, run.log)
        if together.first and not (over and config == saved):
            description.add_resumption(folder, config, device, updater.iteration)
        if over:
            flag, value = 'iter', updater.epoch
            if updater.epoch < config.iter:
                flag, value = 'patience', config.patience
            print(f'finished already; a larger --{flag} than {value} would go on')
        else:
            print(
                f'resuming after iteration {updater.iteration}'
                if restored
                else f'{folder.models}: no snapshot yet, starting from the beginning'
            )
        _train(config, run, watch)


def changed(saved: TrainConfig, flags: Mapping[str, Any]) -> TrainConfig:
    """Put those of the typed `flags` that may change on ``--resume`` into the config `saved`.

    Raises:
        UserError: Another flag differs.
    """
    for name, value in flags.items():
        if name not in FREE_ON_RESUME and value != getattr(saved, name):
            before = repr(getattr(saved, name)) if getattr(saved, name) != '' else 'none'
            raise UserError(
                f'--{name} {value}: the run to resume was started with {before}; '
                f'leave the flag out, or start a new run with another -p'
            )
    free = {name: value for name, value in flags.items() if name in FREE_ON_RESUME}
    return saved.replaced(free)


class Speed(NamedTuple):
    """What a few batches tell: images a second in training, and how many images there are."""

    rate: float
    train: int
    evaluate: int  # those to validate and to test


def dry_run(config: TrainConfig) -> None:
    """Build everything and train on a few batches; write nothing."""
    speed = measure(config)
    epoch = datetime.timedelta(seconds=round(speed.train / speed.rate))
    print(
        f'{1 + DRY_RUN} iterations done, about {speed.rate:.0f} images/s: {epoch} to train an '
        f'epoch, {config.iter * epoch} all {config.iter}; nothing was written'
    )


def measure(config: TrainConfig) -> Speed:
    """Train on a few batches to see how fast that is; write nothing."""
    device, data, _, run = _build(config)
    updater = run.trainer.updater
    iterator = updater.get_iterator('main')
    updater.update()  # this one also prepares and compiles
    devices.synchronize(device)
    start = time.perf_counter()
    for _ in range(DRY_RUN):
        updater.update()
    devices.synchronize(device)
    rate = DRY_RUN * iterator.batch_size / (time.perf_counter() - start)
    n_train = len(iterator.dataset)
    return Speed(rate, n_train, len(data.train_labels) - n_train + len(data.test_labels))


def find_rate(config: TrainConfig) -> None:
    """Run a learning-rate range test: print a table, draw ``find_lr.png``, write nothing else."""
    *_, run = _build(config)
    with prefixed('--find_lr: '):
        rows = rate_test.measure(run)
    suggested = rate_test.suggest(rows)
    path = RunFolder(config.prefix).results / runs.RATE_TEST
    figures.rate_test(rows, suggested, f'{config.prefix}: learning-rate range test', path)
    print(
        f'{rate_test.table(rows)}\n'
        f'suggested  --{optimizers.flags(config.optimizer)[0]} {suggested:.2g}\n'
        f'picture    {path}'
    )


def require_trainable(configs: Iterable[TrainConfig]) -> None:
    """Raise the UserError with which `start` would refuse one of them; train on nothing."""
    read: dict[tuple[str, str], Dataset] = {}
    for config in configs:
        files = config.dataset, config.label
        if files not in read:
            read[files] = dataset.load(*files)
        _build(config, data=read[files])


def _build(config: TrainConfig, restored: bool = False, data: Dataset | None = None) -> _Built:
    if config.tensorboard:
        tensorboard.require()
    if config.precision == 'mixed16' and config.gpu < 0:
        raise UserError(
            '--precision mixed16: makes a GPU faster, not a CPU; give -g 0, or --precision float32'
        )
    together = world.current
    device = config.open_device()
    if data is None:
        data = dataset.load(config.dataset, config.label)
    config.require_shape(data.shape)
    if together.size > 1:
        together.require_same(data.checksum(), config.dataset)
    with prefixed('--normalize '):
        normalization = normalize.fit(config.normalize, data.train_images)
    transform = input_transform.from_dataset(config.dataset, normalization, data.shape)
    run = trainer.create(config, data, device, normalization, transform.black)
    net = run.net
    n_train = len(run.trainer.updater.get_iterator('main').dataset)
    n_valid = len(data.train_labels) - n_train
    print(
        f'{config.model}: {net.count_params():,} parameters, {data.n_class} classes\n'
        f'{config.dataset}: {n_train:,} images to train, {n_valid:,} to validate, '
        f'{len(data.test_labels):,} to test\n'
        f'on {devices.in_words(devices.describe(device))}{_shared(config)}',
        flush=True,
    )
    # This comes after setting up the optimizer and before restoring a snapshot.
    if config.init and not restored and together.first:
        # The others may be on machines without the file; `equalize` sends them what is in it.
        _initialize(net, config, transform)
    if config.freeze:
        with prefixed('--freeze '):
            frozen = freeze(net, config.freeze)
        print(f'frozen: {len(frozen)} of {sum(1 for _ in net.params())} arrays', flush=True)
    parallel_normalization.begin_alike(net)
    if config.sync_bn:
        parallel_normalization.synchronize(net)  # but not what is frozen
    parallel.equalize(run.trainer.updater.get_optimizer('main').target)
    return _Built(device, data, transform, run)


def _shared(config: TrainConfig) -> str:
    size = world.current.size
    return f', {size} processes with {config.batch_size // size} images each' if size > 1 else ''


def _initialize(net: chainer.Chain, config: TrainConfig, transform: InputTransform) -> None:
    with prefixed('--init '):
        report = initialize(net, config.init)
    print(report, flush=True)
    _compare_input(net, config, transform)


def _compare_input(net: chainer.Chain, config: TrainConfig, transform: InputTransform) -> None:
    source = runs.find_weights(config.init)
    if config.init != IMAGENET and source.suffix == '.npz':
        different = trained.other_input(source, transform.preprocessing, config.normalize)
    else:
        wanted = getattr(net, 'input_normalization', config.normalize)
        same = wanted == config.normalize
        different = [] if same else [f'--normalize {wanted}, not {config.normalize}']
    if different:
        tell(f'warning: the weights were trained on images of {", of ".join(different)}')


def _train(config: TrainConfig, run: trainer.Run, watch: Watch | None) -> None:
    if watch is not None:
        look = watch
        run.trainer.extend(
            lambda trainer: look(run.log.rows),
            'watch',
            trigger=lambda trainer: trainer.updater.is_new_epoch,
            priority=snapshot.Snapshot.priority - 1,
        )
    snapshots = run.trainer.get_extension('Snapshot')
    try:
        with quiet_numbers():
            run.trainer.run(show_loop_exception_msg=False)
    except (Diverged, Stopped) as error:
        # As of who saw a loss of NaN and pressed Ctrl-C: the next of several runs must not begin.
        if snapshots.asked:
            raise Interrupted(str(error) or 'stopped', snapshots.asked) from None
        raise
    snapshots.stop_if_asked(run.trainer)
    rate = run.progress.images_per_second(run.trainer)
    summary = summarize(config, run.log, run.trainer, rate)
    folder = RunFolder(config.prefix)
    if run.trainer.updater.epoch < config.iter:
        since = run.log.epochs_since_best()
        print(f'stopped: no lower validation error for {since} epochs (--patience)')
    print(
        f'test error {summary["test_error"]:.2f} %  '
        f'(epoch {summary["best_epoch"]}, {summary["chosen_by"]})\n'
        f'curves   {"  ".join(map(str, folder.curves))}\n'
        f'log      {folder.log}\n'
        f'weights  {folder.weights}'
    )


class Place(NamedTuple):
    """Where a run computes.

    Attributes:
        processes: How many.
        gpus: Those of the processes on a machine, in turn; none on CPUs.
    """

    processes: int = 1
    gpus: tuple[int, ...] = ()


def place(folder: RunFolder) -> Place:
    """Return where the run to resume was trained last, as far as that can be read."""
    try:
        saved = description.read(folder)
    except UserError:
        return Place()  # to resume it will tell
    last = runs.of_now(saved)
    count, gpu = (last['flags'].get(name) for name in ('processes', 'gpu'))
    on_gpus = type(gpu) is int and gpu >= 0
    # Of several GPUs earlier versions kept that of the first process only.
    gpus = tuple(last.get('gpus', [gpu])) if on_gpus else ()
    return Place(count if type(count) is int else 1, gpus)


def require_files(config: TrainConfig, folder: RunFolder | None) -> None:
    """Raise UserError at once for what is missing, before processes are started.

    Args:
        config: The flags.
        folder: The run to resume; None for a new one.
    """
    if folder is not None:
        description.read(folder)
    elif not (os.path.exists(config.dataset) and os.path.isfile(config.label)):
        dataset.load(config.dataset, config.label)


def _find(folder: RunFolder, path: str | None) -> tuple[TrainConfig, snapshot.Found | None]:
    """Find the config and the snapshot (None: it has none yet) of the run to resume."""
    found = snapshot.newest(folder) if path is None else snapshot.load(path)
    if found is None:
        # After one epoch, a line below the header, there may be a log but no snapshot yet.
        if folder.log.exists() and len(folder.log.read_bytes().splitlines()) > 2:
            raise UserError(
                f'{folder.models}: holds no snapshot of the run that {folder.log} tells of; '
                f'put it back, or start again with --overwrite'
            )
        flags = runs.of_now(description.read(folder))['flags']
        saved = train_config.from_dict(flags, folder.config)
    else:
        saved = found.config
    # The user may have renamed the folder.
    return dataclasses.replace(saved, prefix=folder.name), found


def _compare_rates(saved: TrainConfig, config: TrainConfig, updater: trainer.Updater) -> None:
    old, new = (schedules.create(each)(updater.position) for each in (saved, config))
    if not math.isclose(old, new):
        tell(
            f'warning: --lr_shape {config.lr_shape} depends on --iter: the learning rate is now '
            f'{config.initial_rate * new:.3g}, from {config.initial_rate * old:.3g}'
        )
