"""The optimizers of ``--optimizer``. To add one, write a function here that makes it.

Its parameters are flags. The first is the learning rate, and an attribute of the optimizer, too.
"""

import inspect
from collections.abc import Callable
from typing import Protocol

import chainer
from chainer import optimizer_hooks

from chainer_cifar.optim.nesterov import Nesterov
from chainer_cifar.registry import Registry

registry = Registry[Callable[..., chainer.Optimizer]]('optimizer')


class Flags(Protocol):
    """The flags that `create` reads, beside those that the optimizer takes."""

    @property
    def optimizer(self) -> str: ...
    @property
    def clip_gradient(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def l2(self) -> float: ...


def create(config: Flags, model: chainer.Link) -> tuple[chainer.Optimizer, str]:
    """Make the optimizer that the config names, and set it up on `model` with regularization.

    Returns:
        The optimizer, and the name of its attribute that is the learning rate.
    """
    names = flags(config.optimizer)
    optimizer = registry[config.optimizer](**{name: getattr(config, name) for name in names})
    optimizer.setup(model)
    if config.clip_gradient:
        # The first hook, so that it sees the gradients of the loss alone.
        optimizer.add_hook(optimizer_hooks.GradientClipping(config.clip_gradient))
    if config.weight_decay:
        # On all parameters, biases and batch normalization included, as in article 000.
        optimizer.add_hook(optimizer_hooks.WeightDecay(config.weight_decay))
    if config.l2:
        for parameter in model.params():
            if parameter.ndim > 1:
                # The penalty l2 * w^2 has the gradient 2 * l2 * w.
                hook = optimizer_hooks.WeightDecay(2 * config.l2)
                parameter.update_rule.add_hook(hook, name='L2')
    return optimizer, names[0]


def flags(name: str) -> list[str]:
    """Return the flags that the optimizer `name` takes, its learning rate first."""
    return list(inspect.signature(registry[name]).parameters)


@registry.register('sgd')
def sgd(lr: float, momentum: float) -> chainer.Optimizer:
    """Make SGD with momentum."""
    return chainer.optimizers.MomentumSGD(lr=lr, momentum=momentum)


@registry.register('nesterov')
def nesterov(lr: float, momentum: float) -> chainer.Optimizer:
    """Make SGD with Nesterov's momentum."""
    return Nesterov(lr=lr, momentum=momentum)


@registry.register('adam')
def adam(alpha: float) -> chainer.Optimizer:
    """Make Adam."""
    return chainer.optimizers.Adam(alpha=alpha)
