"""Update large parameters by Chainer's own arithmetic, in blocks and on all threads.

This is for what `updates` has no kernel for: AMSGrad, AdaBound, unusual hooks, or all of it without
kernels.
"""

import copy
import types
from typing import Any

from chainer.optimizer_hooks.weight_decay import WeightDecay
from chainer.optimizers.adam import AdamRule
from chainer.optimizers.momentum_sgd import MomentumSGDRule
from chainer.optimizers.nesterov_ag import NesterovAGRule

from chainer_onednn import arrays, threads
from chainer_onednn.hints import Array, Original
from chainer_onednn.replace import replaces


@replaces(MomentumSGDRule, 'update_core_cpu')
@replaces(NesterovAGRule, 'update_core_cpu')
@replaces(AdamRule, 'update_core_cpu')
def update(original: Original, self: Any, param: Any) -> None:
    # A parameter without a size has no state yet.
    if self.state is None or not _usable(param, *self.state.values()):
        return original(self, param)

    def update_part(part: slice) -> None:
        rule = copy.copy(self)
        rule._state = {name: array.reshape(-1)[part] for name, array in self.state.items()}
        original(rule, _part_of(param, part))

    threads.in_blocks(update_part, param.data.size)


@replaces(WeightDecay, '__call__')
def weight_decay(original: Original, self: WeightDecay, rule: Any, param: Any) -> None:
    if param.data is None or not _usable(param):
        return original(self, rule, param)
    threads.in_blocks(lambda part: original(self, rule, _part_of(param, part)), param.data.size)


def _part_of(param: Any, part: slice) -> types.SimpleNamespace:
    """Give an update rule what it needs of a parameter, for some of its elements."""
    return types.SimpleNamespace(
        data=param.data.reshape(-1)[part],
        grad=param.grad.reshape(-1)[part],
        dtype=param.dtype,
        device=param.device,
        _loss_scale=param._loss_scale,
    )


def _usable(param: Any, *states: Array) -> bool:
    every = (param.data, param.grad, *states)
    return arrays.is_float32(*every) and all(
        array.flags.c_contiguous and array.size > threads.BLOCK and array.size == every[0].size
        for array in every
    )
