"""Choose how to train on pictures that nobody knows, so that it ends in a given time."""

import importlib.util
import math
from typing import Any, NamedTuple

from chainer_cifar.data.scan import Scan
from chainer_cifar.nets.mobilenet_v2 import MobileNetV2
from chainer_cifar.weights.pretrained import PRETRAINED

SIZES = (32, 64, 96, 128)
MOST_EPOCHS = 60  # a set so small that there is time for more would be learned by heart
FROZEN_SHARE = 0.25  # of the time, for training the last layer alone
FROZEN_EPOCHS = 10
IMBALANCE = 3  # from which on rare classes come more often
FEW = 2000  # pictures of which a tenth would choose an epoch by chance
BODY = 'stem,stem_bn,blocks,head,head_bn'  # all but the last layer

# How many times longer it takes to train on an image than to evaluate it.
BACKWARD = 3

Flags = dict[str, Any]


class Stage(NamedTuple):
    """A run of the plan: what its prefix ends in, its flags, and its share of the time."""

    suffix: str
    flags: Flags
    share: float
    most_epochs: int


def pretrained_there() -> bool:
    """Are the ImageNet weights of mobilenet_v2 installed?"""
    return importlib.util.find_spec(PRETRAINED[MobileNetV2].package) is not None


def missing() -> str:
    """Say that these weights are missing, and how to install them."""
    known = PRETRAINED[MobileNetV2]
    return f'{known.package} is missing: {known.install}'


def size(scan: Scan, pretrained: bool) -> int:
    """Choose the side of the images: no larger than most pictures, nor than a CPU has time for.

    Weights from ImageNet know larger pictures, so they get 96 pixels or more.
    """
    shorter = scan.sizes[scan.readable].min(axis=1) if scan.readable else [0]
    quarter = sorted(shorter)[len(shorter) // 4]
    if pretrained:
        return 128 if quarter >= 128 else 96
    return 64 if quarter >= 64 else 32


def stages(pretrained: bool, images: int, imbalance: float, own_valid: bool) -> list[Stage]:
    """Choose net and flags: transfer learning in two runs, or a small residual net.

    Args:
        pretrained: Begin with weights from ImageNet.
        images: How many there are to train; and to validate, unless the user chose these.
        imbalance: How many times more images the largest class has than the smallest.
        own_valid: The user chose those to validate.
    """
    common: Flags = {
        'batch_size': max(2, min(32, images // 4)),
        'optimizer': 'adam',
        'lr_shape': 'cosine',
        'weight_decay': 0.0,
        'augment': 'shift(0.125)|mirror',
    }
    if imbalance > IMBALANCE:
        common['balance'] = 'sampler'
    if images < FEW and not own_valid:
        # Learning rates fall to 0, so the last epoch is about the best one.
        common['no_valid_data'] = True
    if not pretrained:
        own = {'model': 'residual', 'res_depth': 2, 'normalize': 'channel'}
        return [Stage('', {**own, **common}, 1, MOST_EPOCHS)]
    net: Flags = {'model': 'mobilenet_v2', 'normalize': 'imagenet'}
    frozen = {**net, **common, 'init': 'imagenet', 'freeze': BODY}
    return [
        Stage('_frozen', frozen, FROZEN_SHARE, FROZEN_EPOCHS),
        Stage('', {**net, **common, 'alpha': 0.0003}, 1 - FROZEN_SHARE, MOST_EPOCHS),
    ]


def epochs(seconds: float, rate: float, train: int, evaluate: int, most: int) -> int:
    """Count the epochs that fit into the time, one at least.

    Args:
        seconds: The time.
        rate: Images a second in training.
        train: Images to train.
        evaluate: Images to evaluate after each epoch.
        most: No more epochs than this.
    """
    each = (train + evaluate / BACKWARD) / rate
    return max(1, min(most, math.floor(seconds / each)))
