"""Jordan's nets for 94, 95 and 96 % on CIFAR-10 in the shortest time.

Keller Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024, and its code, airbench. What
is unusual: the first filters are computed from the images and stay as they are; the other 3x3
filters begin as identities, as far as there are input channels; batch normalization has no factor,
an eps of next to nothing and, but for 96 %, forgets fast; and logits are divided by nine.
"""

from collections.abc import Sequence
from typing import Any

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
from chainer.backends import cuda

from chainer_cifar.arrays import Array
from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.gelu import gelu

KEPT = 0.6  # of the running statistics of batch normalization, in each iteration
KEPT_96 = 0.9  # PyTorch's default; the code of airbench96 went back to it
EPS = 1e-12
SCALE = 1 / 9  # of the logits

# PyTorch's initial weights: uniform within 1 / sqrt(inputs of a unit).
_UNIFORM = chainer.initializers.LeCunUniform(3**-0.5)


class Whitening(chainer.Link):
    """A convolution whose filters whiten patches of the images; only its bias is trained.

    The filters are the principal axes of all patches, each divided by the standard deviation along
    it, and the negatives of them.

    Args:
        channels: Of the images; 2 x channels x ksize x ksize maps come out.
        ksize: Height and width of a patch; there is no padding.
    """

    EPS = 5e-4  # added to the variances

    def __init__(self, channels: int = 3, ksize: int = 2) -> None:
        super().__init__()
        width = channels * ksize**2
        # Looked up there each time: see `undrawn`.
        filters = chainer.initializers.generate_array(
            _UNIFORM, (2 * width, channels, ksize, ksize), np
        )
        self.add_persistent('W', filters)  # no parameter: nothing is to be done with a gradient
        with self.init_scope():
            self.b = chainer.Parameter(np.zeros(len(filters), filters.dtype))

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        return F.convolution_2d(x, self.W, self.b)

    def prepare(self, images: Array) -> None:
        """Compute the filters from float32 images ``(N, C, H, W)``."""
        x: Array = cuda.to_cpu(images)
        _, channels, ksize, _ = self.W.shape
        windows: Any = np.lib.stride_tricks.sliding_window_view  # old types lack pairs of axes
        patches: Array = windows(x, (ksize, ksize), (2, 3))
        moment = np.zeros((channels * ksize**2,) * 2)
        for part in np.array_split(patches, max(1, len(x) // 500)):  # a copy of all is large
            rows = part.transpose(0, 2, 3, 1, 4, 5).reshape(-1, len(moment)).astype(np.float64)
            moment += rows.T @ rows
        # About 0, not about the mean: the images are normalized.
        moment /= len(x) * patches.shape[2] * patches.shape[3]
        variances, axes = np.linalg.eigh(moment)
        filters = (axes / np.sqrt(variances + self.EPS)).T[::-1]
        both = np.concatenate([filters, -filters]).reshape(self.W.shape)
        self.W[...] = self.xp.asarray(both.astype(self.W.dtype))


class Dirac(chainer.initializer.Initializer):
    """Of ``(M, C, k, k)`` filters the first C give a channel as it is; the others are PyTorch's."""

    def __call__(self, array: Array) -> None:
        _UNIFORM(array)
        middle = array.shape[2] // 2
        own = range(min(array.shape[:2]))
        array[own] = 0
        array[own, own, middle, middle] = 1


class Block(chainer.Chain):
    """Two or three 3x3 convolutions, the first of them with a max pooling behind it.

    Args:
        in_channels, out_channels: Channels.
        convolutions: With three, the last two are beside a shortcut.
        kept: See `KEPT`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, convolutions: int, kept: float = KEPT
    ) -> None:
        super().__init__()
        self.residual = convolutions == 3
        with self.init_scope():
            self.convs, self.norms = chainer.ChainList(), chainer.ChainList()
        for _ in range(convolutions):
            self.convs.append(
                L.Convolution2D(in_channels, out_channels, 3, 1, 1, nobias=True, initialW=Dirac())
            )
            self.norms.append(
                L.BatchNormalization(out_channels, decay=kept, eps=EPS, use_gamma=False)
            )
            in_channels = out_channels

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = F.max_pooling_2d(self.convs[0](x), 2, cover_all=False)
        h = past = gelu(self._normalized(0, h))
        for number in range(1, len(self.convs)):
            h = self._normalized(number, self.convs[number](h))
            if self.residual and number == 2:
                h += past
            h = gelu(h)
        return h

    def _normalized(self, number: int, h: chainer.Variable) -> chainer.Variable:
        # cuDNN's smallest eps is 1e-5.
        with chainer.using_config('use_cudnn', 'never'):
            return self.norms[number](h)


class Airbench(chainer.Chain):
    """The three nets; width of the maps: 32-31-15-7-3-1, the last by a maximum of any size.

    Args:
        n_class: Number of classes.
        shape: Of an image.
        widths: Channels of the blocks.
        convolutions: In each of them.
        kept: See `KEPT`.
    """

    least_side = 9  # 8-4-2-1

    def __init__(
        self,
        n_class: int,
        shape: Shape,
        widths: Sequence[int],
        convolutions: int,
        kept: float = KEPT,
    ) -> None:
        super().__init__()
        with self.init_scope():
            self.whiten = Whitening(shape[0])
            self.blocks = chainer.ChainList()
            self.head = L.Linear(widths[-1], n_class, nobias=True, initialW=_UNIFORM)
        channels = len(self.whiten.W)
        for width in widths:
            self.blocks.append(Block(channels, width, convolutions, kept))
            channels = width

    def prepare(self, images: Array) -> None:
        """Compute the whitening filters from images as the net takes them; see `nets`."""
        self.whiten.prepare(images)

    def forward(self, x: chainer.Variable) -> chainer.Variable:
        h = gelu(self.whiten(x))
        for block in self.blocks:
            h = block(h)
        return self.head(F.max_pooling_2d(h, h.shape[2:])) * SCALE


@register('airbench94')
class Airbench94(Airbench):
    """Whitening, then six 3x3 convolutions of 64 to 256 channels, GELU (Jordan, 2024)."""

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__(n_class, shape, (64, 256, 256), 2)


@register('airbench95')
class Airbench95(Airbench):
    """`airbench94` with 128 to 384 channels (Jordan, 2024)."""

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__(n_class, shape, (128, 384, 384), 2)


@register('airbench96')
class Airbench96(Airbench):
    """`airbench94` with 128 to 512 channels and nine convolutions, six beside shortcuts (2024)."""

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR) -> None:
        super().__init__(n_class, shape, (128, 384, 512), 3, KEPT_96)
