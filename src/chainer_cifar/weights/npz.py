"""Read the arrays of a file of ``chainer.serializers.save_npz``, or of a snapshot of ours."""

from chainer_cifar import npz_file
from chainer_cifar.errors import UserError

# Where a snapshot-*.npz has the net; beside it lie the optimizer and the rest.
_PREDICTOR = 'updater/model:main/predictor/'


def read(path):
    """The arrays in the npz file `path`, a snapshot's without the path to the net.

    Returns:
        dict: From names such as ``conv1/W`` to arrays.

    Raises:
        UserError: The file is missing or damaged, or holds anything but arrays.
    """
    try:
        arrays = npz_file.read(path, _of_net)
    except (FileNotFoundError, npz_file.Damaged) as error:
        reason = getattr(error, 'strerror', None) or error
        raise UserError(f'{path}: not a readable npz of weights ({reason})') from None
    return {name.removeprefix(_PREDICTOR): array for name, array in arrays.items()}


def _of_net(names):
    return [name for name in names if name.startswith(_PREDICTOR)] or names
