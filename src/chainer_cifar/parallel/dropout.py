"""Give each image the dropout mask that it would have in one process.

Chainer draws a mask from NumPy's numbers for image after image. The processes have the same random
state; so each passes over the numbers of the images before its own, and of those after them. This
keeps their states the same, too, which stochastic depth needs. It costs each process the time to
draw for the whole mini-batch. Not so on GPUs, where each process has a random state of its own.
"""

from typing import Any

import chainer
import numpy as np
from chainer.functions.noise.dropout import Dropout

from chainer_cifar.parallel import world

WORDS = 2  # 32-bit numbers of the generator that NumPy's `rand` takes for each of its own


def share_masks() -> None:
    """Make all Chainer's dropout on a CPU do so in this process."""
    Dropout.forward = _forward


def _forward(self: Any, inputs: tuple[Any, ...]) -> Any:
    original = chainer.FunctionNode.forward
    if self.mask is not None or not isinstance(inputs[0], np.ndarray):
        return original(self, inputs)
    rank, size = world.current.rank, world.current.size
    _pass_over(rank * inputs[0].size)
    outputs = original(self, inputs)
    _pass_over((size - 1 - rank) * inputs[0].size)
    return outputs


def _pass_over(numbers: int) -> None:
    if numbers:
        module: Any = np.random  # whose types lack the function
        module.get_bit_generator().random_raw(WORDS * numbers, output=False)
