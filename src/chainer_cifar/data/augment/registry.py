"""The augmentations by name; each file here enters its own."""

from types import ModuleType
from typing import TypeAlias

import numpy as np

from chainer_cifar.registry import Registry

Rng: TypeAlias = np.random.RandomState | ModuleType  # the module np.random is the global state

augmentations = Registry('augmentation')
