"""Describe a run when it begins and when it is resumed: config.json, input.npz."""

import sys
from typing import Any

import chainer

from chainer_cifar import environment, runs
from chainer_cifar.config import FORMAT, TrainConfig
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.data.store import in_words
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write
from chainer_cifar.parallel import world
from chainer_cifar.runs import RunFolder
from chainer_cifar.streams import tell

# The keys that config.json must have for a run to resume.
_NEEDED = {'flags', 'versions', 'device', 'data_checksum'}


def begin(
    folder: RunFolder,
    config: TrainConfig,
    device: chainer.backend.Device,
    data: Dataset,
    input_transform: InputTransform,
) -> None:
    """Describe a run that begins, both beside its results and beside its weights."""
    input_transform.write(folder.input_transform)
    folder.write_description(
        {
            'format': FORMAT,
            'flags': vars(config),
            **_computes(device),
            'classes': list(data.class_names),
            'shape': list(data.shape),
            'data_checksum': data.checksum(),
            'command': sys.argv,
        }
    )


def add_missing(folder: RunFolder, input_transform: InputTransform) -> None:
    """Write beside the weights what is missing there, as in runs of earlier versions, or copied."""
    beside = folder.models / runs.CONFIG
    if not beside.exists():
        with atomic_write(beside) as file:
            file.write(folder.config.read_bytes())
    if not folder.input_transform.exists():
        input_transform.write(folder.input_transform)


def read(folder: RunFolder) -> dict[str, Any]:
    """Read the description of a run that shall resume.

    Raises:
        UserError: There is no such run, or its config.json is damaged.
    """
    try:
        return runs.read_description(folder.config, _NEEDED, 'start again with --overwrite')
    except FileNotFoundError:
        raise UserError(
            f'{folder.results}: there is no run to resume; leave out --resume'
        ) from None


def require_same_data(folder: RunFolder, config: TrainConfig, data: Dataset) -> None:
    """Raise UserError unless a run resumes with the data that it began with."""
    found = read(folder)
    shape = runs.image_shape(found)
    if data.shape != shape:
        raise UserError(
            f'{config.dataset}: its images are {in_words(data.shape)}, those of the run '
            f'{in_words(shape)}; give the data this run began with'
        )
    if found['data_checksum'] != data.checksum():
        raise UserError(
            f'{config.dataset}: not the data this run began with (its checksum differs); '
            f'make it again as it was, or start a new run with another -p'
        )


def add_resumption(
    folder: RunFolder, config: TrainConfig, device: chainer.backend.Device, iteration: int
) -> None:
    """Add to config.json what changed when a run resumes; warn of new versions and devices.

    `resumed` there is a list of such changes. Each holds the number of iterations before it, and
    flags, versions, device and GPUs from then on.
    """
    description = read(folder)
    changes = description.setdefault('resumed', [])
    old = changes[-1] if changes else description
    new: dict[str, Any] = {'flags': vars(config), **_computes(device)}
    different = [
        f'{name} {old[key].get(name)} -> {value}'
        for key in ('versions', 'device')
        for name, value in new[key].items()
        if old[key].get(name) != value
    ]
    if different:
        tell(f'warning: {", ".join(different)}: results may differ in the last bits')
    if different or any(new.get(key) != old.get(key) for key in ('flags', 'gpus')):
        changes.append({'after_iteration': iteration, **new})
        folder.write_description(description)


def _computes(device: chainer.backend.Device) -> dict[str, Any]:
    """Describe what computes; of several GPUs the flags hold that of the first process only."""
    gpus = world.current.gpus
    return {**environment.describe(device), **({'gpus': list(gpus)} if gpus else {})}
