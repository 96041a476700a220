"""What a run is and was made of: config.json, and input.npz beside its weights."""

import json
import sys

from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import trained
from chainer_cifar.files import atomic_write
from chainer_cifar.streams import tell
from chainer_cifar.training import environment

# What config.json must hold for a run to be resumed.
_DESCRIBED = {'flags', 'versions', 'device', 'data_checksum'}


def write(config, device, data, treatment):
    """Describe a run that begins, beside its results and, for whoever uses them, its weights."""
    description = {
        'flags': vars(config),
        **environment.describe(device),
        'classes': list(data.class_names),
        'data_checksum': data.checksum(),
        'command': sys.argv,
    }
    treatment.write(config.models / trained.TREATMENT)
    _write(config, description)


def complete(config, treatment):
    """Write beside the weights what a run of an earlier version, or a copied one, has not there."""
    if not (config.models / trained.CONFIG).exists():
        with atomic_write(config.models / trained.CONFIG) as file:
            file.write((config.results / trained.CONFIG).read_bytes())
    if not (config.models / trained.TREATMENT).exists():
        treatment.write(config.models / trained.TREATMENT)


def read(path):
    """The description in the file `path`; UserError where there is none, or it is damaged."""
    try:
        description = json.loads(path.read_text(encoding='utf-8'))
        if not isinstance(description, dict) or not set(description) >= _DESCRIBED:
            raise ValueError('something is missing in it')
        return description
    except FileNotFoundError:
        raise UserError(f'{path.parent}: there is no run to resume; leave out --resume') from None
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: cannot be read ({error}); start again with --overwrite') from None


def compare(config, data):
    """UserError if a run is to go on with other data than it began with."""
    if read(config.results / trained.CONFIG)['data_checksum'] != data.checksum():
        raise UserError(
            f'{config.dataset}: not the data this run began with (its checksum differs); '
            f'make it again as it was, or start a new run with another -p'
        )


def go_on(config, device, iteration):
    """Keep in config.json with which flags and on what a run goes on; warn of the latter.

    There, `resumed` is a list of such changes, each after how many iterations it came, and what
    flags, versions and device are since then.
    """
    description = read(config.results / trained.CONFIG)
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
        _write(config, description)


def _write(config, description):
    # Last beside the results: now there is a run.
    for folder in (config.models, config.results):
        with atomic_write(folder / trained.CONFIG, 'w') as file:
            json.dump(description, file, indent=1)
