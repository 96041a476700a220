"""The whole way from bytes to what a net takes, kept beside its weights for new pictures."""

import dataclasses
import pathlib

import numpy as np

from chainer_cifar.data import store
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import name_of, preprocessing
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write


@dataclasses.dataclass(frozen=True)
class InputTransform:
    """Preprocessing, as dataset.py did it for the training images, then normalization.

    `preprocessing` is None where nobody knows it: the images file came without its statistics.
    """

    preprocessing: object
    normalization: Normalization

    def __call__(self, pictures):
        """uint8 (N, 3, 32, 32) -> float32 (N, 3, 32, 32); UserError if that is not known."""
        if self.preprocessing is None:
            raise UserError(
                'how the training images were preprocessed is not known: their file had no '
                'statistics (image*_stats.npz) beside it; train on one made by dataset.py'
            )
        images = self.preprocessing(pictures).astype(np.float32, copy=False)
        return self.normalization(np, images.reshape(-1, 3, 32, 32))

    @property
    def black(self) -> float | None:
        """The value of a black pixel before normalization; None if not known, or if there is none.

        White is 255 more.
        """
        return None if self.preprocessing is None else self.preprocessing.black

    def write(self, path):
        """Write it as an npz file."""
        arrays = {f'normalization/{k}': v for k, v in vars(self.normalization).items()}
        if self.preprocessing is not None:
            arrays['preprocessing'] = name_of(self.preprocessing)
            arrays |= {f'preprocessing/{k}': v for k, v in vars(self.preprocessing).items()}
        with atomic_write(path) as file:
            np.savez(file, **arrays)


def from_dataset(image_path, normalization):
    """What was done to the images in `image_path`, a file of dataset.py, and `normalization`."""
    path = pathlib.Path(image_path)
    path = path.with_name(f'{path.stem}_stats.npz')
    return InputTransform(store.read_statistics(path) if path.exists() else None, normalization)


def read(path):
    """What `InputTransform.write` wrote.

    Raises:
        UserError: The file is missing or damaged.
    """
    beside = 'it lies beside the weights of a run'
    with store.npz_errors(path, beside, 'damaged', 'copy it again, or train again'):
        content = store.read_arrays(path)
        normalization = Normalization(content['normalization/mean'], content['normalization/std'])
        if 'preprocessing' not in content:
            return InputTransform(None, normalization)
        fields = {
            name.removeprefix('preprocessing/'): value
            for name, value in content.items()
            if name.startswith('preprocessing/')
        }
        return InputTransform(preprocessing[str(content['preprocessing'])](**fields), normalization)
