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

from chainer_cifar import device as devices
from chainer_cifar.data import dataset, normalize
from chainer_cifar.data import treatment as treatments
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import trained
from chainer_cifar.evaluation.pictures import pictures
from chainer_cifar.files import remove_leftovers
from chainer_cifar.streams import tell
from chainer_cifar.training import config as train_config
from chainer_cifar.training import description, schedules, snapshot, trainer
from chainer_cifar.training.log import LOG, summarize
from chainer_cifar.weights import locate
from chainer_cifar.weights.freeze import freeze
from chainer_cifar.weights.initialize import IMAGENET, initialize

# Flags that may change when a run is resumed. The data may have moved; that it is the same data is
# checked by its checksum. Of another number of epochs, `_compare_rates` warns where it matters.
FREE_ON_RESUME = ('gpu', 'cpu_engine', 'iter', 'save_iter', 'dataset', 'label')

DRY_RUN = 3  # iterations that are timed

# Everything a run writes, and what evaluate.py and visualize.py add to it, for --overwrite.
_RESULTS = (
    *(trained.CONFIG, LOG, 'log.json', 'loss.png', 'error.png', 'summary.json'),
    *('report-*.txt', 'report-*.json', 'confusion-*.png'),
    *(f'{name}*.png' for name in pictures),
)
_MODELS = (trained.WEIGHTS, 'epoch-*.npz', snapshot.PATTERN, trained.TREATMENT, trained.CONFIG)


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
    _refuse_existing(config, overwrite)
    device, data, treatment, run = _build(config)
    with _lock(config):
        _refuse_existing(config, overwrite)
        for folder, patterns in ((config.results, _RESULTS), (config.models, _MODELS)):
            for pattern in patterns:
                for path in folder.glob(pattern):
                    path.unlink()
        description.write(config, device, data, treatment)
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
    device, data, treatment, run = _build(config, restored=found is not None)
    with _lock(config):
        description.compare(config, data)
        description.complete(config, treatment)
        if found is not None:
            snapshot.restore(run, found, or_older=not str(path).endswith('.npz'))
            _compare_rates(saved, config, run.updater)
        if run.updater.epoch >= config.iter and run.updater.is_new_epoch:
            print(f'finished already; a larger --iter than {run.updater.epoch} would go on')
        else:
            description.go_on(config, device, run.updater.iteration)
            print(
                f'{config.models}: no snapshot yet, starting from the beginning'
                if found is None
                else f'resuming after iteration {run.updater.iteration}'
            )
        _train(config, run)


def dry_run(config):
    """Build everything and train on a few batches; write nothing."""
    device, *_, run = _build(config)
    iterator = run.updater.get_iterator('main')
    run.updater.update()  # this one also prepares and compiles
    devices.synchronize(device)
    start = time.perf_counter()
    for _ in range(DRY_RUN):
        run.updater.update()
    devices.synchronize(device)
    rate = DRY_RUN * iterator.batch_size / (time.perf_counter() - start)
    epoch = datetime.timedelta(seconds=round(len(iterator.dataset) / rate))
    print(
        f'{1 + DRY_RUN} iterations done, about {rate:.0f} images/s: {epoch} to train an epoch, '
        f'{config.iter * epoch} all {config.iter}; nothing was written'
    )


def _build(config, restored=False):
    device = devices.get_device(config.gpu, config.deterministic, config.cpu_engine)
    data = dataset.load(config.dataset, config.label)
    treatment = treatments.of_images(
        config.dataset, normalize.fit(config.normalize, data.train_images)
    )
    run = trainer.create(config, data, device, treatment.normalization)
    net = run.updater.get_optimizer('main').target.predictor
    n_train = len(run.updater.get_iterator('main').dataset)
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
        print(initialize(net, config.init), flush=True)
        _compare_input(net, config, treatment)
    if config.freeze:
        frozen = freeze(net, config.freeze)
        print(f'frozen: {len(frozen)} of {sum(1 for _ in net.params())} arrays', flush=True)
    return device, data, treatment, run


def _compare_input(net, config, treatment):
    source = locate.find(config.init)
    if config.init != IMAGENET and source.suffix == '.npz':
        different = trained.other_input(source, treatment.preprocessing, config.normalize)
    else:
        wanted = getattr(net, 'input_normalization', config.normalize)
        same = wanted == config.normalize
        different = [] if same else [f'--normalize {wanted}, not {config.normalize}']
    if different:
        tell(f'warning: the weights were trained on images of {", of ".join(different)}')


def _train(config, run):
    # What overflows is told by FailOnNonNumber, once.
    with np.errstate(over='ignore', invalid='ignore'):
        run.run(show_loop_exception_msg=False)
    log, progress = run.get_extension('Log'), run.get_extension('Progress')
    summary = summarize(config, log, run, progress.images_per_second(run))
    print(
        f'test error {summary["test_error"]:.2f} %  '
        f'(epoch {summary["best_epoch"]}, {summary["chosen_by"]})\n'
        f'curves   {config.results / "loss.png"}  {config.results / "error.png"}\n'
        f'log      {config.results / LOG}\n'
        f'weights  {config.models / trained.WEIGHTS}'
    )


def _numbered(config):
    """`config`, with the first of the prefixes vgg_sgd, vgg_sgd-2, vgg_sgd-3 … that is free."""
    numbered = (f'{config.prefix}-{number}' for number in itertools.count(2))
    for prefix in itertools.chain([config.prefix], numbered):
        free = dataclasses.replace(config, prefix=prefix)
        if not _taken(free):
            break
    if prefix != config.prefix:
        print(f'{config.prefix}: there is such a run already; this one is {prefix}', flush=True)
    return free


def _refuse_existing(config, overwrite):
    folder = None if overwrite else _taken(config)
    if folder:
        raise UserError(
            f'{folder}: holds a run already; continue it with --resume, replace it with '
            f'--overwrite, or choose another folder with -p'
        )


def _taken(config):
    """The folder in which there is a run of this prefix already, or None."""
    for folder, pattern in (
        (config.results, trained.CONFIG),
        (config.models, trained.WEIGHTS),
        (config.models, snapshot.PATTERN),
    ):
        if any(folder.glob(pattern)):
            return folder
    return None


@contextlib.contextmanager
def _lock(config):
    config.models.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(config.models / '.lock', timeout=0):
            remove_leftovers(config.models)  # snapshots, mostly, and they are large
            yield
    except filelock.Timeout:
        raise UserError(
            f'{config.models}: another process is training into it; wait, or choose another -p'
        ) from None


def _find(config, path):
    """The config and the snapshot (None: before its first) of the run to resume."""
    prefix = config.prefix if path is None else _prefix_of(path)
    if path is not None and pathlib.Path(path).suffix == '.npz':
        found = snapshot.load(path)
    else:
        found = snapshot.newest(pathlib.Path('models', prefix))
    if found is None:
        path = pathlib.Path('results', prefix, trained.CONFIG)
        # Of one epoch, a line below the header, there may be a log and no snapshot yet.
        log = path.with_name(LOG)
        if log.exists() and len(log.read_bytes().splitlines()) > 2:
            raise UserError(
                f'{pathlib.Path("models", prefix)}: holds no snapshot of the run that {log} tells '
                f'of; put it back, or start again with --overwrite'
            )
        saved = train_config.from_dict(description.read(path)['flags'], path)
    else:
        saved = found.config
    # The folder may have been renamed since.
    return dataclasses.replace(saved, prefix=prefix), found


def _prefix_of(path):
    folder = pathlib.Path(path).resolve()
    if folder.suffix == '.npz':
        folder = folder.parent
    for root in ('models', 'results'):
        if folder.is_relative_to(pathlib.Path(root).resolve()):
            return str(folder.relative_to(pathlib.Path(root).resolve()))
    raise UserError(
        f'--resume {path}: not under models/ or results/ of this directory; '
        f'give the folder of a run there, or a snapshot in it'
    )


def _compare_rates(saved, config, updater):
    old, new = (schedules.create(each)(updater.moment) for each in (saved, config))
    if not math.isclose(old, new):
        tell(
            f'warning: --lr_shape {config.lr_shape} depends on --iter: the learning rate is now '
            f'{config.initial_rate * new:.3g}, from {config.initial_rate * old:.3g}'
        )
