"""The whole way from bytes to the input of a net, kept beside its weights for new pictures."""

import dataclasses
import pathlib

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import npz_file, paths
from chainer_cifar.data import store
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import Preprocessing, name_of, preprocessing
from chainer_cifar.errors import UserError
from chainer_cifar.files import atomic_write


@dataclasses.dataclass(frozen=True)
class InputTransform:
    """Preprocessing, as dataset.py did it for the training images, then normalization.

    Attributes:
        preprocessing: None if it is unknown, because the images file came without its statistics.
        normalization: What comes after it.
        shape: ``(C, H, W)`` of the images that the net takes.
        fit: How a picture of other proportions gets there, a word of `store.FITS`.
    """

    preprocessing: Preprocessing | None
    normalization: Normalization
    shape: store.Shape = store.CIFAR_SHAPE
    fit: str = store.CROP

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Treat pictures ``(N, C, H, W)``; the result has the same shape.

        Raises:
            UserError: The preprocessing is unknown.
        """
        if self.preprocessing is None:
            raise UserError(
                'nobody knows how the training images were preprocessed: their file had no '
                'statistics (image*_stats.npz) beside it; train on one made by dataset.py'
            )
        images = self.preprocessing(pictures).astype(np.float32, copy=False)
        return self.normalization(np, images.reshape(-1, *self.shape))

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
        arrays |= {'shape': np.array(self.shape), 'fit': np.array(self.fit)}
        with atomic_write(path) as file:
            np.savez(file, **arrays)


def from_dataset(
    image_path: store.Path, normalization: Normalization, shape: store.Shape = store.CIFAR_SHAPE
) -> InputTransform:
    """Return what was done to the images in `image_path`, which dataset.py made, and then here."""
    path = pathlib.Path(image_path)
    if path.name in ('', '..'):
        path = paths.straight(path)
    path = path.with_name(f'{path.stem}_stats.npz')
    if not path.exists():
        return InputTransform(None, normalization, shape)
    fitted, fit = store.read_statistics(path)
    return InputTransform(fitted, normalization, shape, fit)


def read(path: store.Path) -> InputTransform:
    """Read what `InputTransform.write` wrote.

    Raises:
        UserError: The file is missing or damaged.
    """
    beside = 'it lies beside the weights of a run'
    with store.npz_errors(path, beside, 'damaged', 'copy it again, or train again'):
        content = npz_file.read(path)
        normalization = Normalization(content['normalization/mean'], content['normalization/std'])
        shape = store.CIFAR_SHAPE  # of files that do not say it, which are of earlier versions
        if 'shape' in content:
            shape = store.require_shape(tuple(content['shape'].tolist()))
        fit = store.require_fit(str(content.get('fit', store.CROP)))
        if 'preprocessing' not in content:
            return InputTransform(None, normalization, shape, fit)
        fields = {
            name.removeprefix('preprocessing/'): value
            for name, value in content.items()
            if name.startswith('preprocessing/')
        }
        fitted = preprocessing[str(content['preprocessing'])](**fields)
        return InputTransform(fitted, normalization, shape, fit)
