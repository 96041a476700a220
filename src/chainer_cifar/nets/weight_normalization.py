"""Weight normalization: length and direction of each filter are separate parameters."""

from collections.abc import Callable
from typing import ClassVar

import chainer
import chainer.functions as F
import numpy as np

from chainer_cifar.arrays import Array

# Added to squares, so that filters and channels of zeros give no NaN.
_NORM_EPS = 1e-12
_VARIANCE_EPS = 2e-5  # as in Chainer's batch normalization


def _there_are_no_others(means: Array) -> Array:
    return means


class WeightNormalizedConvolution2D(chainer.Link):
    """Convolution with the filters ``g * V / |V|``, each of the length g, and the bias b.

    Salimans and Kingma, Weight Normalization, 2016: each output channel's filter has its own norm
    and its own number in g. (The original project has one norm and one g for all filters together.)
    The first batch in training sets g and b so that each channel of its output has mean 0 and
    variance 1; until then g is 1 and b is 0.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        ksize: Size of the filters.
        pad: Rows and columns of zeros around the image.

    Attributes:
        over_all: Turns means over the images here into those over all, if others see parts, too.
        needs: What must come from a file, too, if one of these does (see weights/initialize.py).
            Random filters with the lengths of others would not be set by the first batch.
    """

    needs: ClassVar = {'g': ('V',), 'b': ('V',), 'initialized': ('V', 'g', 'b')}

    def __init__(self, in_channels: int, out_channels: int, ksize: int, pad: int = 0) -> None:
        super().__init__()
        self.pad = pad
        shape = (out_channels, in_channels, ksize, ksize)
        with self.init_scope():
            self.V = chainer.Parameter(chainer.initializers.Normal(0.05), shape)
            self.g = chainer.Parameter(1, out_channels)
            self.b = chainer.Parameter(0, out_channels)
        self.over_all: Callable[[Array], Array] = _there_are_no_others
        # A number of Python, saved with the parameters: reading it does not wait for a GPU.
        self.initialized = False
        self.register_persistent('initialized')

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        if chainer.config.train and not self.initialized:
            self._initialize_from(x)
        return self._convolve(x)

    def _convolve(self, x: chainer.Variable) -> chainer.Variable:
        norm = F.sqrt(F.sum(self.V * self.V, axis=(1, 2, 3)) + _NORM_EPS)
        W = F.scale(self.V, self.g / norm, axis=0)
        return F.convolution_2d(x, W, self.b, pad=self.pad)

    def _initialize_from(self, x: chainer.Variable) -> None:
        with chainer.no_backprop_mode():
            h = self._convolve(x).array
        h = h.astype(np.promote_types(h.dtype, np.float32), copy=False)  # not in float16
        mean = self.over_all(h.mean(axis=(0, 2, 3)))
        centred = h - mean[:, None, None]
        variance = self.over_all((centred * centred).mean(axis=(0, 2, 3)))
        scale = 1 / (variance + _VARIANCE_EPS) ** 0.5
        self.g.array *= scale
        self.b.array -= mean
        self.b.array *= scale
        self.initialized = True
