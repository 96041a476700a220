"""Read the weights in a file of ``chainer.serializers.save_npz``, or in a snapshot of ours."""

import os
from collections.abc import Iterable

from chainer_cifar import npz_file
from chainer_cifar.arrays import Array
from chainer_cifar.errors import UserError

# The place in a snapshot-*.npz of the net's average, if there is one (see optim/averaging.py), or
# of the net; beside it lie the optimizer and the rest.
_NETS = 'updater/average/', 'updater/model:main/predictor/'


def read(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read the arrays of a net by names such as ``conv1/W``.

    Raises:
        UserError: The file is missing or damaged, or holds anything but arrays.
    """
    try:
        arrays = npz_file.read(path, _of_net)
    except (FileNotFoundError, npz_file.Damaged) as error:
        reason = getattr(error, 'strerror', None) or error
        raise UserError(f'{path}: not a readable npz of weights ({reason})') from None
    prefix = _prefix(arrays)
    return {name.removeprefix(prefix): array for name, array in arrays.items()}


def _of_net(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(_prefix(names))]


def _prefix(names: Iterable[str]) -> str:
    return next((net for net in _NETS if any(name.startswith(net) for name in names)), '')
