"""Describes a run when it begins and when it is resumed: config.json, input.npz."""

import sys

from chainer_cifar import environment, runs
from chainer_cifar.config import FORMAT
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write
from chainer_cifar.streams import tell

# What config.json must hold for a run to be resumed.
_NEEDED = {'flags', 'versions', 'device', 'data_checksum'}


def begin(folder, config, device, data, input_transform):
    """Describe a run that begins, beside its results and, for whoever uses them, its weights."""
    input_transform.write(folder.input_transform)
    folder.write_description(
        {
            'format': FORMAT,
            'flags': vars(config),
            **environment.describe(device),
            'classes': list(data.class_names),
            'data_checksum': data.checksum(),
            'command': sys.argv,
        }
    )


def add_missing(folder, input_transform):
    """Write beside the weights what a run of an earlier version, or a copied one, has not there."""
    beside = folder.models / runs.CONFIG
    if not beside.exists():
        with atomic_write(beside) as file:
            file.write(folder.config.read_bytes())
    if not folder.input_transform.exists():
        input_transform.write(folder.input_transform)


def read(folder):
    """The description of a run that is to be resumed.

    Raises:
        UserError: There is no such run, or its config.json is damaged.
    """
    try:
        return runs.read_description(folder.config, _NEEDED, 'start again with --overwrite')
    except FileNotFoundError:
        raise UserError(
            f'{folder.results}: there is no run to resume; leave out --resume'
        ) from None


def require_same_data(folder, config, data):
    """UserError if a run is to go on with other data than it began with."""
    if read(folder)['data_checksum'] != data.checksum():
        raise UserError(
            f'{config.dataset}: not the data this run began with (its checksum differs); '
            f'make it again as it was, or start a new run with another -p'
        )


def add_resumption(folder, config, device, iteration):
    """Keep in config.json with which flags and on what a run goes on; warn of the latter.

    There, `resumed` is a list of such changes, each after how many iterations it came, and what
    flags, versions and device are since then.
    """
    description = read(folder)
    changes = description.setdefault('resumed', [])
    old = changes[-1] if changes else description
    new = {'flags': vars(config), **environment.describe(device)}
    different = [
        f'{name} {old[key].get(name)} -> {value}'
        for key in ('versions', 'device')
        for name, value in new[key].items()
        if old[key].get(name) != value
    ]
    if different:
        tell(f'warning: {", ".join(different)}: results may differ in the last bits')
    if different or new['flags'] != old['flags']:
        changes.append({'after_iteration': iteration, **new})
        folder.write_description(description)
