"""All state of a run in one file, so that ``--resume`` continues bit for bit.

A snapshot (`Snapshot` writes it, `newest` reads it) is an npz of what Chainer's Trainer serializes
— net, optimizer, place in the shuffled order, log so far — and the config. There is no random
state in it: see randomness.py. The newest two are kept; a torn one is told by its checksums.
"""

import json
import signal
import sys
import time
import zipfile
import zlib

import chainer
import numpy as np
from chainer.training import extension

from chainer_cifar import config as train_config
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write
from chainer_cifar.runs import SNAPSHOTS, RunFolder
from chainer_cifar.streams import tell
from chainer_cifar.training.divergence import require_finite

KEEP = 2
SECONDS = 600  # between snapshots inside a long epoch

_DAMAGE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error)


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
        tell('\nstopping after this iteration … (again: at once, from the last snapshot)')

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
        np.savez(file, config=json.dumps(vars(config)), **serializer.target)
    paths = folder.snapshots()
    kept = paths[paths.index(path) :][:KEEP]
    for other in set(paths) - set(kept):
        other.unlink()


def load(path):
    """Read and check a whole snapshot.

    Returns:
        (TrainConfig, dict): and the arrays for `restore`.

    Raises:
        UserError: The file is missing, damaged, or no snapshot.
    """
    try:
        with np.load(path, allow_pickle=False) as npz:
            state = {name: npz[name] for name in npz.files}
    except FileNotFoundError:
        raise UserError(f'{path}: there is no such snapshot') from None
    except _DAMAGE as error:
        raise UserError(f'{path}: damaged snapshot ({error})') from None
    if 'config' not in state:
        raise UserError(f'{path}: holds weights only; --resume needs a {SNAPSHOTS}')
    values = json.loads(str(state.pop('config')))
    return train_config.from_dict(values, path), state


def newest(folder):
    """The newest snapshot in a RunFolder that is whole; a damaged one is reported and passed over.

    Returns:
        (TrainConfig, dict) or None: as `load`; None where there is no snapshot at all.
    """
    paths = folder.snapshots()
    for path in paths:
        try:
            return load(path)
        except UserError as error:
            print(f'warning: {error}; trying the one before it', file=sys.stderr)
    if paths:
        raise UserError(
            f'{folder.models}: none of its {len(paths)} snapshots is whole; '
            f'start again with --overwrite'
        )
    return None


def restore(trainer, state):
    """Put the state that `load` read into a trainer made from the same config."""
    try:
        chainer.serializers.NpzDeserializer(state).load(trainer)
    except KeyError as error:
        raise UserError(
            f'the snapshot has no {error}: another version of chainer-cifar wrote it; resume with '
            f'the git revision that config.json names, or start again with --overwrite'
        ) from None
