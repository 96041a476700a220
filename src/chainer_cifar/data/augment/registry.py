"""The augmentations by name; each file here enters its own."""

from chainer_cifar.registry import Registry

augmentations = Registry('augmentation')
