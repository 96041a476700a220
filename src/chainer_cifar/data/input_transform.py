"""The whole way from bytes to the input of a net, kept beside its weights for new pictures."""

import dataclasses
import pathlib

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import npz_file
from chainer_cifar.data import store
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import Preprocessing, name_of, preprocessing
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write


@dataclasses.dataclass(frozen=True)
class InputTransform:
    """Preprocessing, as dataset.py did it for the training images, then normalization.

    `preprocessing` is None if it is unknown, because the images file came without its statistics.
    """

    preprocessing: Preprocessing | None
    normalization: Normalization

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Treat pictures ``(N, 3, 32, 32)``; the result has the same shape.

        Raises:
            UserError: The preprocessing is unknown.
        """
        if self.preprocessing is None:
            raise UserError(
                'nobody knows how the training images were preprocessed: their file had no '
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

    def write(self, path: store.Path) -> None:
        """Write it as an npz file."""
        arrays = {f'normalization/{k}': v for k, v in vars(self.normalization).items()}
        if self.preprocessing is not None:
            arrays['preprocessing'] = np.array(name_of(self.preprocessing))
            arrays |= {f'preprocessing/{k}': v for k, v in vars(self.preprocessing).items()}
        with atomic_write(path) as file:
            np.savez(file, **arrays)


def from_dataset(image_path: store.Path, normalization: Normalization) -> InputTransform:
    """Return what was done to the images in `image_path`, a file of dataset.py, and then here."""
    path = pathlib.Path(image_path)
    path = path.with_name(f'{path.stem}_stats.npz')
    return InputTransform(store.read_statistics(path) if path.exists() else None, normalization)


def read(path: store.Path) -> InputTransform:
    """Read what `InputTransform.write` wrote.

    Raises:
        UserError: The file is missing or damaged.
    """
    beside = 'it lies beside the weights of a run'
    with store.npz_errors(path, beside, 'damaged', 'copy it again, or train again'):
        content = npz_file.read(path)
        normalization = Normalization(content['normalization/mean'], content['normalization/std'])
        if 'preprocessing' not in content:
            return InputTransform(None, normalization)
        fields = {
            name.removeprefix('preprocessing/'): value
            for name, value in content.items()
            if name.startswith('preprocessing/')
        }
        return InputTransform(preprocessing[str(content['preprocessing'])](**fields), normalization)
