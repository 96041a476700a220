"""What is done to the pictures once, before any training: mean, zca, norm_zca, raw.

Each preprocessing is a class: `fit` looks at training images only and returns an instance, which
treats any images alike when called; its fields are what is saved. Images are uint8
(N, 3, 32, 32) or (N, 3072), the result is (N, 3072) of the class's `dtype`. `black` is what 0 has
become where white is 255 more, or None where pixels are no colours any more.

All goes by chunks, so that the memory is the uint8 images, one float32 result and little more.
"""

import dataclasses

import numpy as np

from chainer_cifar.registry import Registry

PIXELS = 3 * 32 * 32
CHUNK = 2000  # images; 49 MB in float64, and large enough for a GEMM at full speed

preprocessing = Registry('preprocessing')


def name_of(fitted):
    """The name under which the class of a fitted preprocessing is registered."""
    return next(name for name, method in preprocessing.items() if type(fitted) is method)


def _ignore(count):
    pass


def _require_finite(array, shape):
    if array.dtype != np.float32 or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f'not a finite float32 array of shape {shape}')


def _chunks(images):
    """The images in rows of 3072, some at a time: (their slice, uint8 (n, 3072))."""
    images = images.reshape(len(images), PIXELS)
    for start in range(0, len(images), CHUNK):
        rows = slice(start, start + CHUNK)
        yield rows, images[rows]


@preprocessing.register('mean')
@dataclasses.dataclass(frozen=True)
class Mean:
    """Subtract one number, the mean over all values of all training images."""

    mean: np.ndarray  # float32 ()
    dtype = np.float32

    @property
    def black(self) -> float:
        return -float(self.mean)

    def __post_init__(self):
        _require_finite(self.mean, ())

    @classmethod
    def fit(cls, images, eps=None, done=_ignore):
        """`eps` is not used; `done(n)` is called when n more images are."""
        total = 0
        for _, chunk in _chunks(images):
            total += int(chunk.sum(dtype=np.int64))
            done(len(chunk))
        return cls(np.float32(total / images.size))

    def __call__(self, images, out=None, done=_ignore):
        """float32 (N, 3072), in `out` if given."""
        if out is None:
            out = np.empty((len(images), PIXELS), np.float32)
        for rows, chunk in _chunks(images):
            np.subtract(chunk, self.mean, out=out[rows], dtype=np.float32)
            done(len(chunk))
        return out


@preprocessing.register('zca')
@dataclasses.dataclass(frozen=True)
class Zca:
    """Make the covariance of the pixels the identity, with pictures that still look like pictures.

    W = U diag(1 / sqrt(lambda + eps * mean(lambda))) U^T, where lambda and U are the eigenvalues
    and -vectors of the covariance about the mean of each pixel, divided by n. `eps` is relative to
    the mean eigenvalue, which is the mean variance of a pixel: so it means the same for pixels of
    0 to 255 and for pixels of variance 1. Directions in which training images do not vary at all
    are dropped. (Bell and Sejnowski 1997; Krizhevsky 2009, appendix A.)
    """

    mean: np.ndarray  # float32 (3072,)
    matrix: np.ndarray  # float32 (3072, 3072), symmetric
    dtype = np.float32
    black = None

    def __post_init__(self):
        _require_finite(self.mean, (PIXELS,))
        _require_finite(self.matrix, (PIXELS, PIXELS))

    @classmethod
    def fit(cls, images, eps, done=_ignore):
        """`done(n)` is called when n more images are."""
        total = np.zeros(PIXELS)
        moment = np.zeros((PIXELS, PIXELS))
        for _, chunk in _chunks(images):
            values = cls.prepare(chunk)
            total += values.sum(axis=0)
            moment += values.T @ values  # NumPy sees a.T @ a and does half the work (syrk)
            done(len(chunk))
        mean = total / len(images)
        moment /= len(images)
        moment -= np.outer(mean, mean)
        return cls(mean.astype(np.float32), _inverse_root(moment, eps).astype(np.float32))

    def __call__(self, images, out=None, done=_ignore):
        """float32 (N, 3072), in `out` if given."""
        if out is None:
            out = np.empty((len(images), PIXELS), np.float32)
        for rows, chunk in _chunks(images):
            centred = np.subtract(self.prepare(chunk), self.mean, dtype=np.float32)
            np.matmul(centred, self.matrix, out=out[rows])
            done(len(chunk))
        return out

    @staticmethod
    def prepare(images):
        return images.astype(np.float64)


@preprocessing.register('norm_zca')
class NormZca(Zca):
    """Contrast-normalise each image, then whiten as `Zca` does."""

    @staticmethod
    def prepare(images):
        return normalize_contrast(images)


@preprocessing.register('raw')
@dataclasses.dataclass(frozen=True)
class Raw:
    """Leave the pictures as they are, in bytes: for what acts on 0 to 255 (see normalize.py)."""

    dtype = np.uint8
    black = 0.0

    @classmethod
    def fit(cls, images, eps=None, done=_ignore):
        for _, chunk in _chunks(images):
            done(len(chunk))
        return cls()

    def __call__(self, images, out=None, done=_ignore):
        """uint8 (N, 3072), in `out` if given."""
        if out is None:
            out = np.empty((len(images), PIXELS), np.uint8)
        for rows, chunk in _chunks(images):
            out[rows] = chunk
            done(len(chunk))
        return out


def normalize_contrast(images):
    """Each image with mean 0 and standard deviation 1 over all its values; a flat one becomes 0.

    `images` is uint8 (N, 3072), the result float64.
    """
    values = images.astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    deviation = np.sqrt(np.einsum('ij,ij->i', values, values) / values.shape[1])
    values /= np.where(deviation > 0, deviation, 1)[:, None]
    return values


def _inverse_root(covariance, eps):
    """(covariance + eps * mean variance)^(-1/2), of the directions that vary; float64."""
    variances, axes = np.linalg.eigh(covariance)
    # Rounding leaves this much of a variance that is 0 (that of the mean of normalised images).
    floor = variances[-1] * len(variances) * np.finfo(np.float64).eps
    scales = np.zeros_like(variances)
    varies = variances > floor
    scales[varies] = (variances[varies] + eps * variances.mean()) ** -0.5
    axes *= np.sqrt(scales)
    return axes @ axes.T
