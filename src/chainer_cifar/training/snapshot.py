"""Save all state of a run in one file, so that ``--resume`` continues bit for bit.

A snapshot (`Snapshot` writes it, `newest` reads it) is an npz of what Chainer's Trainer serializes
— net, optimizer, place in the shuffled order, log so far — and the config. It needs no random
state: see randomness.py. We keep the newest two; checksums in them tell if one is torn.
"""

import json
import os
import pathlib
import shlex
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import chainer
import numpy as np
from chainer.training import extension

from chainer_cifar import config as train_config
from chainer_cifar import json_file, npz_file, runs
from chainer_cifar.arrays import Array
from chainer_cifar.config import FORMAT, TrainConfig
from chainer_cifar.errors import Interrupted, UserError
from chainer_cifar.files import atomic_write
from chainer_cifar.parallel import world
from chainer_cifar.runs import SNAPSHOTS, RunFolder
from chainer_cifar.streams import tell
from chainer_cifar.training.divergence import require_finite
from chainer_cifar.training.restore import restore as restore_state

KEEP = 2
SECONDS = 600  # between snapshots inside a long epoch


class Damaged(UserError):
    """A file is not a whole snapshot, and never will be."""


class Snapshot(extension.Extension):
    """Write a snapshot after each epoch, every ten minutes inside one, and on Ctrl-C or SIGTERM.

    A signal takes effect after the iteration, so the snapshot is whole. A second one stops at once,
    and the last snapshot stays usable.

    Args:
        config: The flags of the run.
        net: The net that is trained.

    Attributes:
        asked: The signal that asks to stop; None before.
    """

    priority = -100

    def __init__(self, config: TrainConfig, net: chainer.Chain) -> None:
        self.config = config
        self.net = net
        self.asked: int | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._last = time.monotonic()

    def initialize(self, trainer: chainer.training.Trainer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # no other may set handlers, nor is there a Ctrl-C for it
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._on_signal)

    def finalize(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: object) -> None:
        self.asked = number
        self.finalize()
        tell('', 'stopping after this iteration … (again: at once, from the last snapshot)')

    def __call__(self, trainer: chainer.training.Trainer) -> None:
        together = world.current
        due: int = time.monotonic() - self._last > SECONDS
        due, received = together.largest(due, self.asked or 0)
        if trainer.updater.is_new_epoch or due or received:
            require_finite(self.net, trainer.updater.iteration)
            if together.first:
                save(trainer, self.config)
            self._last = time.monotonic()
        if received:
            together.barrier()  # so that no process ends while the first one writes
            self._stop(trainer, received)

    def stop_if_asked(self, trainer: chainer.training.Trainer) -> None:
        """Raise Interrupted if a signal came after the last iteration, as while curves are drawn.

        Otherwise it would be lost, and the next of several runs would begin. Call it after the
        training; its last snapshot is written.
        """
        (received,) = world.current.largest(self.asked or 0)
        if received:
            self._stop(trainer, received)

    def _stop(self, trainer: chainer.training.Trainer, received: int) -> NoReturn:
        raise Interrupted(
            f'stopped at iteration {trainer.updater.iteration}; '
            f'continue with --resume -p {shlex.quote(self.config.prefix)}',
            received,
        )


def save(trainer: chainer.training.Trainer, config: TrainConfig) -> None:
    """Write ``models/<prefix>/snapshot-<iteration>.npz`` and keep only it and the one before it.

    Delete those of later iterations, too: they are damaged, or the run resumed from an earlier one.
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


def share(trainer: chainer.training.Trainer, state: Mapping[str, Array]) -> None:
    """Put the state that the first process' trainer was restored from into those of the others."""
    if world.current.size > 1:
        state = world.current.from_first(lambda: state)
        if not world.current.first:
            restore_state(trainer, state)


class Found(NamedTuple):
    """A readable snapshot.

    Attributes:
        path: The file.
        config: The flags of the run.
        state: Arrays by name, for `restore`.
    """

    path: pathlib.Path
    config: TrainConfig
    state: dict[str, Array]


def load(path: str | os.PathLike[str]) -> Found:
    """Read a snapshot, and check it as far as that needs neither the net nor the data.

    Raises:
        Damaged: The file is damaged, or no snapshot.
        UserError: It is missing, or a later version of chainer-cifar wrote it.
        OSError, MemoryError: It cannot be read here and now.
    """
    try:
        state = npz_file.read(path)
        if 'config' not in state:
            raise Damaged(f'{path}: holds weights only; --resume needs a {SNAPSHOTS}')
        number = np.asarray(state.pop('format', 1))
        if number.ndim or number.dtype.kind not in 'iu':
            raise ValueError('its format is no whole number')
        runs.require_format(int(number))
        values = json_file.loads(str(state.pop('config')))
        if not isinstance(values, dict):
            raise ValueError('its config is not a JSON object')
        try:
            config = train_config.from_dict(values, path)
        except UserError as error:
            raise Damaged(str(error)) from None
        return Found(pathlib.Path(path), config, state)
    except FileNotFoundError:
        raise UserError(f'{path}: there is no such snapshot') from None
    except runs.LaterFormat as error:
        raise UserError(f'{path}: {error}') from None
    except (ValueError, TypeError, AttributeError) as error:
        raise Damaged(f'{path}: damaged snapshot ({error})') from None


def newest(folder: RunFolder, before: pathlib.Path | None = None) -> Found | None:
    """Read the newest snapshot of a run that is whole; warn of damaged ones.

    Args:
        folder: The folders of the run.
        before: Read only snapshots older than this one.

    Returns:
        None if there is no snapshot at all.

    Raises:
        UserError: All snapshots are damaged; or one cannot be read here, but may be whole.
        OSError, MemoryError: Likewise.
    """
    paths = folder.snapshots()
    for path in paths[paths.index(before) + 1 :] if before else paths:
        try:
            return load(path)
        except Damaged as error:
            tell(f'warning: {error}; trying the one before it')
    if paths:
        raise UserError(
            f'{folder.models}: none of its {len(paths)} snapshots is whole; '
            f'start again with --overwrite'
        )
    return None


def restore(
    trainer: chainer.training.Trainer, found: Found | None, folder: RunFolder | None = None
) -> Mapping[str, Array]:
    """Put a snapshot into a trainer that was made from its config.

    Args:
        trainer: Of the run that shall continue.
        found: The snapshot from `load` or `newest`.
        folder: The folders with older snapshots, to use with a warning if `found` does not fit;
            None: use no other.

    Returns:
        The state that it was restored from; empty if nothing was found.

    Raises:
        UserError: Neither this snapshot nor an older one fits.
    """
    while found is not None:
        try:
            restore_state(trainer, found.state)
            return found.state
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
    return {}
