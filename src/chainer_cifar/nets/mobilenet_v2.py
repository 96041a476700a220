"""MobileNet v2 as torchvision builds it for ImageNet, except for some initial weights.

Those of depthwise filters have the standard deviation sqrt(2/9) here. In torchvision, which counts
all C channels as outputs of each filter, it is sqrt(2/(9C)).
"""

import functools

import chainer.links as L

from chainer_cifar.nets import CIFAR, Shape, register
from chainer_cifar.nets.inverted_residual import InvertedResidualNet

# Blocks, ksize, stride, expansion, channels: table 2 of the paper.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (3, 3, 2, 6, 32),
    (4, 3, 2, 6, 64),
    (3, 3, 1, 6, 96),
    (3, 3, 2, 6, 160),
    (1, 3, 1, 6, 320),
)


@register('mobilenet_v2')
class MobileNetV2(InvertedResidualNet):
    """MobileNet v2, 17 inverted residual blocks; ``--init imagenet`` for transfer learning.

    Sandler et al., MobileNetV2, 2018. The ImageNet weights expect images as (x/255 - mean)/std of
    ImageNet, and were trained on 224x224 pixels.

    Args:
        n_class: Number of classes.
        shape: Of an image.
        upscale: Resize the images to this width in pixels first; 0: leave them alone.
    """

    input_normalization = 'imagenet'

    def __init__(self, n_class: int = 10, shape: Shape = CIFAR, upscale: int = 0) -> None:
        norm = functools.partial(L.BatchNormalization, decay=0.9, eps=1e-5)
        super().__init__(STAGES, n_class, shape, upscale, norm, same=False)
