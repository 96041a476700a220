"""Mixed precision: ``--precision mixed16``, as Chainer has it, and what a run of ours needs beside.

The net computes in float16, batch normalization keeps its numbers in float32. Gradients are those
of the loss times a scale, so that small ones do not vanish in float16; Chainer's optimizer doubles
it until a gradient overflows, leaves that update out, and goes on with less. It updates float32
copies of the weights, the masters, and rounds them into the net. (Micikevicius et al., Mixed
Precision Training, 2018.)
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import chainer
import chainer.functions as F
import numpy as np

from chainer_cifar.arrays import Array
from chainer_cifar.errors import Diverged
from chainer_cifar.optim.averaging import Average
from chainer_cifar.optim.losses import Loss

PRECISIONS = ('float32', 'mixed16')


def creating_nets(precision: str) -> contextlib.AbstractContextManager[Any]:
    """Give nets that are made in the block parameters of this precision."""
    dtype = chainer.mixed16 if precision == 'mixed16' else np.float32
    return chainer.using_config('dtype', dtype)


def in_float32(function: Loss) -> Loss:
    """Let a loss, or an accuracy, of logits in float16 compute in float32."""

    def wide(logits: chainer.Variable, labels: Array) -> chainer.Variable:
        return function(F.cast(logits, np.float32), labels)

    return wide


class Masters(Average):
    """The masters as a net in float32, which is evaluated and saved like an average of weights.

    Chainer keeps them in its update rules and saves neither them nor the scale of the loss; so a
    resumed run would not have the same bits.

    Args:
        net: In float16, made by `creating_nets`; no optimizer has been set up on it.
    """

    def __init__(self, net: chainer.Chain) -> None:
        super().__init__(net)
        for link in self.net.links():
            for name in link._params:
                getattr(link, name).array = getattr(link, name).array.astype(np.float32)
            for name in link._persistent:
                value = getattr(link, name)
                if isinstance(value, chainer.get_array_types()):
                    setattr(link, name, value.astype(np.float32))

    def follow(self, optimizer: chainer.Optimizer) -> None:
        """Make an optimizer that was set up on the net keep masters and scale the loss."""
        self.optimizer = optimizer
        optimizer.use_fp32_update()
        optimizer.loss_scaling()
        chainers = optimizer.check_nan_in_grads
        optimizer.check_nan_in_grads = functools.partial(_look_for_overflow, optimizer, chainers)
        optimizer.add_hook(_unscale, 'unscale', timing='pre')
        self._scale = optimizer._loss_scale

    def after_update(self, iteration: int, done: float) -> None:
        if not self.optimizer.is_safe_to_update() and self._scale <= 1:
            raise Diverged(
                f'training diverged: the gradients overflow in float16 in iteration {iteration}; '
                f'try a lower learning rate, --normalize, or --precision float32, with --overwrite'
            )
        self._scale = self.optimizer._loss_scale
        for mine, theirs in zip(self.net.links(), self.trained.links(), strict=True):
            for name in theirs._params:
                master, param = getattr(mine, name), getattr(theirs, name)
                if param.update_rule._fp32_param is None:  # in float32, or not updated yet
                    master.array[...] = param.array
                else:
                    master.array = param.update_rule._fp32_param.array
            for name in theirs._persistent:
                value = getattr(theirs, name)
                if isinstance(value, chainer.get_array_types()):
                    getattr(mine, name)[...] = value
                else:  # a count
                    setattr(mine, name, value)

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        super().serialize(serializer)
        optimizer, scaling = self.optimizer, serializer['loss_scaling']
        optimizer._loss_scale = scaling('scale', optimizer._loss_scale)
        ever = scaling('overflowed', optimizer._loss_scaling_isnan_ever)
        optimizer._loss_scaling_isnan_ever = ever
        if not 1 <= optimizer._loss_scale <= optimizer._loss_scale_max:
            raise ValueError(f'the loss has a scale of {optimizer._loss_scale}')
        self._scale = optimizer._loss_scale
        if isinstance(serializer, chainer.serializer.Deserializer):
            masters = dict(self.net.namedparams())
            for name, param in self.trained.namedparams():
                if param.dtype == np.float16:
                    param.update_rule._fp32_param = masters[name]


def _look_for_overflow(optimizer: chainer.Optimizer, chainers: Callable[[], None]) -> None:
    """Do as Chainer's check of the gradients, but let the device answer once for all of them.

    Chainer asks for each parameter, and a GPU would wait as many times in every step. Where some
    overflow, which is rare, `chainers` finds which, warns of them and has the update left out.
    """
    xp = optimizer.target.xp
    finite = xp.stack([xp.isfinite(param.grad).all() for param in optimizer.target.params()])
    if finite.all():
        optimizer._loss_scaling_isnan = False
    else:
        chainers()


def _unscale(optimizer: chainer.Optimizer) -> None:
    """Take the scale out of gradients in float32, before the hooks of update rules.

    Chainer does so, too, but its weight decay, as a hook of an update rule, does not know that.
    """
    for param in optimizer.target.params():
        if param.dtype == np.float32 and param._loss_scale is not None:
            param.grad /= param._loss_scale
            param._loss_scale = None
