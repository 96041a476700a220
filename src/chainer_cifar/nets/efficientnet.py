"""EfficientNet-Lite0: EfficientNet without squeeze-and-excitation, with ReLU6."""

import functools

import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.inverted_residual import InvertedResidualNet

# Blocks, ksize, stride, expansion, channels: table 1 of the paper, stages 2 to 8.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


@register('efficientnet_lite0')
class EfficientNetLite0(InvertedResidualNet):
    """EfficientNet-Lite0, 16 inverted residual blocks; ``--init imagenet`` for transfer learning.

    Tan and Le, EfficientNet, 2019; "Lite" is its variant for phones, without squeeze-and-excitation
    and with ReLU6. The ImageNet weights expect images as x/127.5 - 1, and were trained on 224x224
    pixels. There is no drop-connect.

    Args:
        n_class: Number of classes.
        shape: Of an image.
        upscale: Resize the images to this width in pixels first; 0: leave them alone.
    """

    input_normalization = 'symmetric'

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR, upscale: int = 0) -> None:
        norm = functools.partial(L.BatchNormalization, decay=0.99, eps=1e-3)
        super().__init__(STAGES, n_class, shape, upscale, norm, same=True)
