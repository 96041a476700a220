"""Preprocess the pictures once, before any training: mean, zca, norm_zca, raw.

Each preprocessing is a class (`Preprocessing`): `fit` looks at training images only and returns an
instance, which treats all images alike when called. Images are uint8 ``(N, C, H, W)`` or rows
``(N, C * H * W)``, the result is rows of the class's `dtype`.

`Raw` takes images of any size; the others take the 3,072 values of 32x32 in colour only. For other
images the matrix of `Zca` would grow with the square of their number, and the one number of `Mean`
does no more than ``--normalize channel`` on raw images does, in a quarter of the space.

Everything goes by chunks, so that memory holds the uint8 images, one float32 result, little more.
"""

import abc
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import ClassVar, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.arrays import Array
from chainer_cifar.registry import Registry

PIXELS = 3 * 32 * 32
CHUNK = 2000  # images of 32x32; 49 MB in float64, and large enough for a GEMM at full speed

DType: TypeAlias = type[np.float32] | type[np.uint8]
Done: TypeAlias = Callable[[int], object]  # called with the number of images treated since before


def _ignore(count: int) -> None:
    pass


class Preprocessing(abc.ABC):
    """A fitted preprocessing. A subclass is a frozen dataclass, whose fields are saved."""

    dtype: ClassVar[DType] = np.float32  # of the result

    @property
    def black(self) -> float | None:
        """What 0 has become, where white is 255 more; None if pixels are no colours any more."""
        return None

    @classmethod
    @abc.abstractmethod
    def fit(cls, images: Array, eps: float, done: Done = _ignore) -> 'Preprocessing':
        """Look at training images; `eps` is for `Zca` and ignored by the others."""

    @abc.abstractmethod
    def treat(self, rows: Array, out: Array) -> None:
        """Treat some images, rows ``(n, C * H * W)`` of uint8, into rows of `dtype`."""

    def __call__(self, images: Array, out: Array | None = None, done: Done = _ignore) -> Array:
        """Treat `images`; the result is in `out`, rows of `dtype`, if given."""
        if out is None:
            out = np.empty((len(images), values(images)), self.dtype)
        for place, rows in _chunks(images):
            self.treat(rows, out[place])
            done(len(rows))
        return out


preprocessing = Registry[type[Preprocessing]]('preprocessing')

Z = TypeVar('Z', bound='Zca')


def name_of(fitted: Preprocessing) -> str:
    """Return the name under which the class of a fitted preprocessing is registered."""
    return next(name for name, method in preprocessing.items() if type(fitted) is method)


def _require_finite(array: np.float32 | Array, shape: tuple[int, ...]) -> None:
    if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f'not a finite float32 array of shape {shape}')


def _chunks(images: Array) -> Iterator[tuple[slice, Array]]:
    """Yield some images at a time: (their slice, rows ``(n, C * H * W)``)."""
    images = images.reshape(len(images), values(images))
    step = max(1, CHUNK * PIXELS // values(images))
    for start in range(0, len(images), step):
        rows = slice(start, start + step)
        yield rows, images[rows]


def values(images: Array) -> int:
    """Return how many values an image has."""
    return math.prod(images.shape[1:])


@preprocessing.register('mean')
@dataclasses.dataclass(frozen=True)
class Mean(Preprocessing):
    """Subtract one number, the mean over all values of all training images."""

    mean: np.float32 | NDArray[np.float32]  # ()

    @property
    def black(self) -> float:
        return -float(self.mean)

    def __post_init__(self) -> None:
        _require_finite(self.mean, ())

    @classmethod
    def fit(cls, images: Array, eps: float = 0, done: Done = _ignore) -> 'Mean':
        total = 0
        for _, chunk in _chunks(images):
            total += int(chunk.sum(dtype=np.int64))
            done(len(chunk))
        return cls(np.float32(total / images.size))

    def treat(self, rows: Array, out: Array) -> None:
        np.subtract(rows, self.mean, out=out, dtype=np.float32)


@preprocessing.register('zca')
@dataclasses.dataclass(frozen=True)
class Zca(Preprocessing):
    """Make the covariance of the pixels the identity, with pictures that still look like pictures.

    W = U diag(1 / sqrt(lambda + eps * mean(lambda))) U^T, where lambda and U are the eigenvalues
    and -vectors of the covariance about the mean of each pixel, divided by n. `eps` is relative to
    the mean eigenvalue, which is the mean variance of a pixel: so it means the same for pixels of
    0 to 255 and for pixels of variance 1. Directions in which training images do not vary at all
    are dropped. (Bell and Sejnowski 1997; Krizhevsky 2009, appendix A.)
    """

    mean: NDArray[np.float32]  # (3072,)
    matrix: NDArray[np.float32]  # (3072, 3072), symmetric

    def __post_init__(self) -> None:
        _require_finite(self.mean, (PIXELS,))
        _require_finite(self.matrix, (PIXELS, PIXELS))

    @classmethod
    def fit(cls: type[Z], images: Array, eps: float, done: Done = _ignore) -> Z:
        """Compute mean and matrix; see above for `eps`."""
        total = np.zeros(PIXELS)
        moment = np.zeros((PIXELS, PIXELS))
        for _, chunk in _chunks(images):
            rows = cls.prepare(chunk)
            total += rows.sum(axis=0)
            moment += rows.T @ rows  # NumPy sees a.T @ a and does half the work (syrk)
            done(len(chunk))
        mean = total / len(images)
        moment /= len(images)
        moment -= np.outer(mean, mean)
        return cls(mean.astype(np.float32), _inverse_root(moment, eps).astype(np.float32))

    def treat(self, rows: Array, out: Array) -> None:
        centred = np.subtract(self.prepare(rows), self.mean, dtype=np.float32)
        np.matmul(centred, self.matrix, out=out)

    @staticmethod
    def prepare(images: Array) -> NDArray[np.float64]:
        """Do what comes before whitening: nothing."""
        return images.astype(np.float64)


@preprocessing.register('norm_zca')
class NormZca(Zca):
    """Normalise the contrast of each image, then whiten as `Zca` does."""

    @staticmethod
    def prepare(images: Array) -> NDArray[np.float64]:
        """Normalise the contrast of each image."""
        return normalize_contrast(images)


@preprocessing.register('raw')
@dataclasses.dataclass(frozen=True)
class Raw(Preprocessing):
    """Leave the pictures as they are, bytes, for normalizations that expect 0 to 255."""

    dtype: ClassVar[DType] = np.uint8

    @property
    def black(self) -> float:
        return 0.0

    @classmethod
    def fit(cls, images: Array, eps: float = 0, done: Done = _ignore) -> 'Raw':
        done(len(images))
        return cls()

    def treat(self, rows: Array, out: Array) -> None:
        out[...] = rows


def normalize_contrast(images: Array) -> NDArray[np.float64]:
    """Give each image mean 0 and standard deviation 1 over all its values; a flat one becomes 0.

    Args:
        images: uint8 ``(N, 3072)``.
    """
    rows = images.astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum('ij,ij->i', rows, rows) / rows.shape[1])
    rows /= np.where(deviation > 0, deviation, 1)[:, None]
    return rows


def _inverse_root(covariance: NDArray[np.float64], eps: float) -> NDArray[np.float64]:
    """Compute (covariance + eps * mean variance)^(-1/2) over the directions that vary."""
    variances, axes = np.linalg.eigh(covariance)
    # Rounding turns a variance of 0 (that of the mean of normalised images) into up to this much.
    floor = variances[-1] * len(variances) * np.finfo(np.float64).eps
    scales = np.zeros_like(variances)
    varies = variances > floor
    scales[varies] = (variances[varies] + eps * variances.mean()) ** -0.5
    axes *= np.sqrt(scales)
    return axes @ axes.T
