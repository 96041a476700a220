"""Take the folders of a run for oneself: a name that is free, no earlier run, a lock."""

import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Iterator

import filelock

from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.files import make_folder, remove_leftovers
from chainer_cifar.parallel import world
from chainer_cifar.runs import RunFolder


def numbered(config: TrainConfig) -> TrainConfig:
    """Give `config` the first of the prefixes vgg_sgd, vgg_sgd-2, vgg_sgd-3 … that is free."""
    further = (f'{config.prefix}-{number}' for number in itertools.count(2))
    prefixes = itertools.chain([config.prefix], further)
    prefix = next(each for each in prefixes if not RunFolder(each).occupied())
    if prefix != config.prefix:
        print(f'{config.prefix}: there is such a run already; this one is {prefix}', flush=True)
    return dataclasses.replace(config, prefix=prefix)


def refuse_existing(folder: RunFolder, overwrite: bool) -> None:
    """Raise UserError if the folder holds a run, unless `overwrite` is true and it is at rest."""
    if not overwrite and (occupied := folder.occupied()):
        raise UserError(
            f'{occupied}: holds a run already; continue it with --resume, replace it with '
            f'--overwrite, or choose another folder with -p'
        )
    refuse_in_use(folder.below())


def refuse_in_use(folders: Iterable[RunFolder]) -> None:
    """Raise UserError if a process trains into one of the folders, or a run below it."""
    for folder in folders:
        for each in (folder, *folder.below()):
            if each.in_use():
                raise UserError(f'{each.models}: another process is training into it; wait')


@contextlib.contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Keep other runs from training into the folder; raise UserError if one does already.

    A block that fails before it writes anything leaves no folder that was not there before.
    """
    if not world.current.first:
        yield  # the first process keeps it for all
        return
    made = make_folder(folder.models)
    try:
        with filelock.FileLock(folder.lock, timeout=0):
            remove_leftovers(folder.models)  # snapshots, mostly, and they are large
            try:
                yield
            except BaseException:
                if made:
                    _remove_unused(folder, made)
                raise
    except filelock.Timeout:
        raise UserError(
            f'{folder.models}: another process is training into it; wait, or choose another -p'
        ) from None


def _remove_unused(folder: RunFolder, made: Iterable[pathlib.Path]) -> None:
    """Remove the folders `made`, innermost first, if the innermost holds nothing but its lock."""
    with contextlib.suppress(OSError):  # another process made something in them
        if {path.name for path in folder.models.iterdir()} <= {folder.lock.name}:
            folder.lock.unlink(missing_ok=True)
            for path in made:
                path.rmdir()
