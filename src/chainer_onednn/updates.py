"""Updates of all parameters of a net by one call of a kernel.

Chainer goes from parameter to parameter, and through several layers of Python for each; a deep net
has hundreds, most of them small. Here the plain ones (float32, a rule and hooks that have a kernel)
are collected into a table first; all others are updated by Chainer.

A rule of another package has a kernel, too, if its class says so: ``cpu_kernel = 'nesterov'``.
"""

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from chainer import Parameter
from chainer.backend import CpuDevice
from chainer.optimizer import GradientMethod, Optimizer
from chainer.optimizer_hooks.weight_decay import WeightDecay
from chainer.optimizers.adam import AdamRule, _learning_rate
from chainer.optimizers.momentum_sgd import MomentumSGDRule
from chainer.optimizers.nesterov_ag import NesterovAGRule

from chainer_onednn import arrays, dnnl, kernels
from chainer_onednn.hints import Original
from chainer_onednn.replace import replaces

Scalars: TypeAlias = tuple[float, ...]
Key: TypeAlias = tuple[str, Scalars, Scalars]  # kernel, its numbers, rates of weight decays

# With others, as NumPy's float64, NumPy computes in other precisions than float32.
_NUMBERS = (int, float, np.float32, np.float16)

_ARRAYS, _SCALARS = 4, 6  # that a kernel takes: a parameter, its gradient, two states; numbers


def _momentum_sgd(hyperparam: Any, t: int) -> Scalars:
    return hyperparam.lr, hyperparam.momentum


def _nesterov_ag(hyperparam: Any, t: int) -> Scalars:
    rate, momentum = hyperparam.lr, hyperparam.momentum
    return rate, momentum, momentum * momentum, (1 + momentum) * rate


def _adam(hyperparam: Any, t: int) -> Scalars | None:
    if hyperparam.amsgrad or hyperparam.adabound:
        return None
    if hyperparam.eps != 0 and np.float32(hyperparam.eps) == 0:
        return None  # Chainer raises an error
    return (
        1.0 - hyperparam.beta1,
        1.0 - hyperparam.beta2,
        _learning_rate(hyperparam, t),
        hyperparam.eps,
        1.0 - hyperparam.eta * hyperparam.weight_decay_rate,
        -hyperparam.eta,
    )


class _Rule(NamedTuple):
    kernel: str
    states: tuple[str, ...]  # names in the rule's state
    # From the hyperparameters and the number of the update, from 1; None: Chainer must do it.
    scalars: Callable[[Any, int], Scalars | None]


_KERNELS = {
    'momentum_sgd': _Rule('momentum_sgd', ('v',), _momentum_sgd),
    'nesterov_ag': _Rule('nesterov_ag', ('v',), _nesterov_ag),
    'nesterov': _Rule('nesterov', ('v',), _momentum_sgd),
    'adam': _Rule('adam', ('m', 'v'), _adam),
}
_OF_CHAINER = {
    MomentumSGDRule: 'momentum_sgd',
    NesterovAGRule: 'nesterov_ag',
    AdamRule: 'adam',
}


@functools.cache
def _rule(owner: type) -> _Rule | None:
    # A subclass may compute something else, so only the class itself counts.
    name: Any = _OF_CHAINER.get(owner) or vars(owner).get('cpu_kernel')
    return _KERNELS.get(name)


@replaces(GradientMethod, 'update')
def update(
    original: Original, self: GradientMethod, lossfun: Any = None, *args: Any, **kwds: Any
) -> None:
    if not (kernels.available() and _is_ordinary(self)):
        return original(self, lossfun, *args, **kwds)
    # Chainer's own steps, but that weight decays that come last become part of the updates.
    if lossfun is not None:
        loss = lossfun(*args, **kwds)
        if getattr(self, '_use_cleargrads', True):
            self.target.cleargrads()
        else:
            self.target.zerograds()
        loss.backward(loss_scale=self._loss_scale)
        del loss
    params = _with_gradients(self)
    self.check_nan_in_grads()
    hooks = list(self._hookable._pre_update_hooks.values())
    decays = list(itertools.takewhile(_is_decay, reversed(hooks)))[::-1]
    for hook in hooks[: len(hooks) - len(decays)]:
        self.call_hook(hook)
        params = list(self.target.params())
    plan, others = _plan(params)
    if others:  # in Chainer's order
        for hook in decays:
            self.call_hook(hook)
        decays = []
    self.t += 1
    for (kernel, scalars, rates), group in plan.items():
        _run(kernel, scalars, (*(hook.rate for hook in decays), *rates), group)
    for param in others:
        param.update()
    if others:
        self.reallocate_cleared_grads()
    self.call_hooks('post')
    self.update_loss_scale()


def _is_ordinary(optimizer: Any) -> bool:
    """Do its steps between the gradients and the update do what Chainer's do?"""
    owner = type(optimizer)
    return (
        optimizer._hookable is not None
        and not optimizer._loss_scaling_is_dynamic  # which may leave a step out
        and owner.is_safe_to_update is Optimizer.is_safe_to_update
        and owner.call_hooks is Optimizer.call_hooks
        and owner.call_hook is GradientMethod.call_hook
        and owner.reallocate_cleared_grads is GradientMethod.reallocate_cleared_grads
    )


def _is_decay(hook: Any) -> bool:
    return type(hook) is WeightDecay and type(hook.rate) in _NUMBERS


def _with_gradients(optimizer: Any) -> list[Any]:
    """Its parameters, after `reallocate_cleared_grads` where that has something to do."""
    params = list(optimizer.target.params())
    for param in params:
        if param.layout is not None or (param.raw_array is not None and param.grad is None):
            optimizer.reallocate_cleared_grads()
            break
    return params


class _Group:
    """Parameters that are updated with the same numbers."""

    def __init__(self) -> None:
        self.rules: list[Any] = []
        self.rows: list[list[int]] = []  # of the kernel's table


def _plan(params: list[Any]) -> tuple[dict[Key, _Group], list[Any]]:
    """Which parameters the kernels update.

    Returns:
        A dict from (name of the kernel, scalars, rates of a parameter's own weight decays) to
        `_Group`; and the list of the other parameters.
    """
    plan: dict[Key, _Group] = {}
    others: list[Any] = []
    known: dict[Any, Scalars | None] = {}
    for param in params:
        rule = param.update_rule
        key = _key(param, rule, known)
        row = key and _row(param, rule, _KERNELS[key[0]].states)
        if key is None or row is None:
            others.append(param)
            continue
        if key not in plan:
            plan[key] = _Group()
        plan[key].rules.append(rule)
        plan[key].rows.append(row)
    if _overlap(row for group in plan.values() for row in group.rows):
        return {}, params  # tied weights, or a gradient of two parameters: one after the other
    return plan, others


def _key(param: Any, rule: Any, known: dict[Any, Scalars | None]) -> Key | None:
    owner: Any = type(rule)
    kind = _rule(owner)
    if (
        kind is None
        or type(param) is not Parameter
        or type(param.device) is not CpuDevice
        or param.layout is not None
        or param._loss_scale is not None
        or not rule.enabled
        or rule._hookable._post_update_hooks
    ):
        return None
    decays = rule._hookable._pre_update_hooks.values()
    if not all(map(_is_decay, decays)):
        return None
    own = len(vars(rule.hyperparam)) > 1  # most have only a parent, the optimizer's
    source = kind.kernel, id(rule.hyperparam if own else rule.hyperparam.parent), rule.t
    if source not in known:
        scalars = kind.scalars(rule.hyperparam, rule.t + 1)
        real = scalars and all(type(scalar) in _NUMBERS for scalar in scalars)
        known[source] = scalars if real else None
    scalars = known[source]
    if scalars is None:
        return None
    return kind.kernel, scalars, tuple(hook.rate for hook in decays)


def _row(param: Any, rule: Any, names: Iterable[str]) -> list[int] | None:
    p = param.raw_array
    if type(p) is not np.ndarray or p.dtype != arrays.FLOAT32:
        return None
    if rule.state is None:
        rule._init_states(param)
    state, shape, row = rule.state, p.shape, []
    for array in (p, param.grad, *[state.get(name) for name in names]):
        if (
            type(array) is not np.ndarray
            or array.dtype != arrays.FLOAT32
            or not array.flags.carray
            or array.shape != shape
        ):
            return None
        row.append(dnnl.address(array))
    row += [0] * (_ARRAYS - len(row))
    row.append(p.size)
    return row


def _overlap(rows: Iterable[list[int]]) -> bool:
    """Does any number lie at two places of the table?"""
    table = np.array(list(rows), np.int64).reshape(-1, _ARRAYS + 1)
    starts, sizes = table[:, :_ARRAYS].ravel(), np.repeat(table[:, _ARRAYS], _ARRAYS)
    used = (starts != 0) & (sizes != 0)
    order = np.argsort(starts[used])
    starts, sizes = starts[used][order], sizes[used][order]
    return bool((starts[:-1] + 4 * sizes[:-1] > starts[1:]).any())


def _run(kernel: str, scalars: Scalars, rates: Scalars, group: _Group) -> None:
    for each in group.rules:
        each.t += 1
    table = np.array(group.rows, np.int64)
    padded = np.zeros(_SCALARS, np.float32)
    padded[: len(scalars)] = scalars
    kernels.function(f'update_{kernel}', 'plplp')(
        table, len(table), np.array(rates, np.float32), len(rates), padded
    )
