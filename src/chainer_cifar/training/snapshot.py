"""All state of a run in one file, so that ``--resume`` continues bit for bit.

A snapshot (`Snapshot` writes it, `newest` reads it) is an npz of what Chainer's Trainer serializes
— net, optimizer, place in the shuffled order, log so far — and the config. There is no random
state in it: see randomness.py. The newest two are kept; a torn one is told by its checksums.
"""

import json
import pathlib
import signal
import time
from typing import NamedTuple

import chainer
import numpy as np
from chainer.training import extension

from chainer_cifar import config as train_config
from chainer_cifar import npz_file, runs
from chainer_cifar.config import FORMAT
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write
from chainer_cifar.runs import SNAPSHOTS, RunFolder
from chainer_cifar.streams import tell
from chainer_cifar.training.divergence import require_finite
from chainer_cifar.training.restore import restore as restore_state

KEEP = 2
SECONDS = 600  # between snapshots inside a long epoch


class Interrupted(KeyboardInterrupt):
    """Stopped on request, with a snapshot on disk."""

    def __init__(self, message, signum):
        super().__init__(message)
        self.signum = signum


class Snapshot(extension.Extension):
    """Writes a snapshot after each epoch, every ten minutes inside one, and on Ctrl-C or SIGTERM.

    The signal is acted on when the iteration is complete, so the snapshot is whole; a second one
    stops at once, and the snapshot before it stays usable.

    Args:
        config (TrainConfig): Of the run.
        net (chainer.Chain): Its net.
    """

    priority = -100

    def __init__(self, config, net):
        self.config = config
        self.net = net
        self._signal = None
        self._handlers = {}
        self._last = time.monotonic()

    def initialize(self, trainer):
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._on_signal)

    def finalize(self):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _on_signal(self, number, frame):
        self._signal = number
        self.finalize()
        tell('', 'stopping after this iteration … (again: at once, from the last snapshot)')

    def __call__(self, trainer):
        due = time.monotonic() - self._last > SECONDS
        if trainer.updater.is_new_epoch or due or self._signal:
            require_finite(self.net, trainer.updater.iteration)
            save(trainer, self.config)
            self._last = time.monotonic()
        if self._signal:
            raise Interrupted(
                f'stopped at iteration {trainer.updater.iteration}; '
                f'continue with --resume -p {self.config.prefix}',
                self._signal,
            )


def save(trainer, config):
    """Write ``models/<prefix>/snapshot-<iteration>.npz`` and keep only it and the one before it.

    One of a later iteration goes, too: the run was resumed from an earlier one, or it is damaged.
    """
    serializer = chainer.serializers.DictionarySerializer()
    serializer.save(trainer)
    folder = RunFolder(config.prefix)
    path = folder.snapshot(trainer.updater.iteration)
    with atomic_write(path) as file:
        np.savez(file, format=FORMAT, config=json.dumps(vars(config)), **serializer.target)
    paths = folder.snapshots()
    kept = paths[paths.index(path) :][:KEEP]
    for other in set(paths) - set(kept):
        other.unlink()


class Found(NamedTuple):
    """A snapshot that could be read.

    Attributes:
        path (pathlib.Path): The file.
        config (TrainConfig): The flags of the run.
        state (dict): Arrays by their names, for `restore`.
    """

    path: pathlib.Path
    config: train_config.TrainConfig
    state: dict


def load(path):
    """Read a whole snapshot; what can be checked without the net and the data is checked.

    Returns:
        Found

    Raises:
        UserError: The file is missing, damaged, or no snapshot.
    """
    try:
        state = npz_file.read(path)
        if 'config' not in state:
            raise UserError(f'{path}: holds weights only; --resume needs a {SNAPSHOTS}')
        runs.require_format(int(state.pop('format', 1)))
        values = json.loads(str(state.pop('config')))
        if not isinstance(values, dict):
            raise ValueError('its config is no object of JSON')
        return Found(pathlib.Path(path), train_config.from_dict(values, path), state)
    except FileNotFoundError:
        raise UserError(f'{path}: there is no such snapshot') from None
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f'{path}: damaged snapshot ({error})') from None


def newest(folder, before=None):
    """The newest snapshot in a RunFolder that is whole; a damaged one is reported and passed over.

    Args:
        folder (RunFolder): The run's.
        before (pathlib.Path): Only older ones than this count.

    Returns:
        Found or None: None where there is no snapshot at all.
    """
    paths = folder.snapshots()
    for path in paths[paths.index(before) + 1 :] if before else paths:
        try:
            return load(path)
        except UserError as error:
            tell(f'warning: {error}; trying the one before it')
    if paths:
        raise UserError(
            f'{folder.models}: none of its {len(paths)} snapshots is whole; '
            f'start again with --overwrite'
        )
    return None


def restore(run, found, folder=None):
    """Put a snapshot into a trainer that was made from its config.

    Args:
        run (chainer_cifar.training.trainer.Run): What is to go on.
        found (Found): What `load` or `newest` gave.
        folder (RunFolder): Where to take an older one from, with a warning, if it does not fit;
            None: nowhere.

    Raises:
        UserError: It does not fit, nor does an older one.
    """
    while True:
        try:
            return restore_state(run, found.state)
        except KeyError as error:
            reason = (
                f'has no {error}: damaged, or another version of chainer-cifar wrote it; resume '
                f'with the git revision that config.json names, or start again with --overwrite'
            )
        except ValueError as error:
            reason = f'damaged snapshot ({error})'
        if folder is None or found.path == folder.snapshots()[-1]:
            raise UserError(f'{found.path}: {reason}')
        tell(f'warning: {found.path}: {reason}; trying the one before it')
        found = newest(folder, before=found.path)
