"""Weight normalization: length and direction of each filter are parameters of their own."""

import chainer
import chainer.functions as F

# Added to squares; so filters and channels of zeros give no NaN.
_NORM_EPS = 1e-12
_VARIANCE_EPS = 2e-5  # as in Chainer's batch normalization


class WeightNormalizedConvolution2D(chainer.Link):
    """Convolution with the filters ``g * V / |V|``, each of the length g, and the bias b.

    Salimans and Kingma, Weight Normalization, 2016: the norm is that of each output channel's
    filter, and g has one number for each. (The original project has one norm and one g for all
    filters together.) The first batch in training sets g and b such that each channel of its output
    has mean 0 and variance 1; until then g is 1 and b is 0.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        ksize (int): Size of the filters.
        stride (int): Of the convolution.
        pad (int): Rows and columns of zeros around the image.
    """

    def __init__(self, in_channels, out_channels, ksize, stride=1, pad=0):
        super().__init__()
        self.stride = stride
        self.pad = pad
        shape = (out_channels, in_channels, ksize, ksize)
        with self.init_scope():
            self.V = chainer.Parameter(chainer.initializers.Normal(0.05), shape)
            self.g = chainer.Parameter(1, out_channels)
            self.b = chainer.Parameter(0, out_channels)
        # A number of Python, saved with the parameters: asking for it stops no GPU.
        self.initialized = False
        self.register_persistent('initialized')

    def forward(self, x):
        if chainer.config.train and not self.initialized:
            self._initialize_from(x)
        return self._convolve(x)

    def _convolve(self, x):
        norm = F.sqrt(F.sum(self.V * self.V, axis=(1, 2, 3)) + _NORM_EPS)
        W = F.scale(self.V, self.g / norm, axis=0)
        return F.convolution_2d(x, W, self.b, self.stride, self.pad)

    def _initialize_from(self, x):
        with chainer.no_backprop_mode():
            h = self._convolve(x).array
        mean = h.mean(axis=(0, 2, 3))
        scale = 1 / (h.var(axis=(0, 2, 3)) + _VARIANCE_EPS) ** 0.5
        self.g.array *= scale
        self.b.array -= mean
        self.b.array *= scale
        self.initialized = True
