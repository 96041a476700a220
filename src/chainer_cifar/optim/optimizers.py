"""The optimizers of ``--optimizer``. To add one, write a function here that makes it.

Its parameters are flags. The first is the learning rate, and an attribute of the optimizer, too.
"""

import inspect
from collections.abc import Callable
from typing import Protocol

import chainer
from chainer import optimizer_hooks

from chainer_cifar.errors import prefixed
from chainer_cifar.optim import groups
from chainer_cifar.optim.nesterov import Nesterov
from chainer_cifar.registry import Registry

registry = Registry[Callable[..., chainer.Optimizer]]('optimizer')

DECOUPLED = ('adamw',)  # those whose weight decay is no gradient
NORMALIZED = ('adam',)  # those that take steps of one size, whatever the gradient's is


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
    @property
    def lr_factors(self) -> str: ...
    @property
    def no_decay_bn(self) -> bool: ...


def create(config: Flags, model: chainer.Link) -> tuple[chainer.Optimizer, groups.Rates]:
    """Make the optimizer that the config names, and set it up on `model` with regularization.

    Args:
        config: The flags.
        model: A net, or a `chainer.links.Classifier` of one.

    Returns:
        The optimizer, and what sets its learning rate.

    Raises:
        UserError: A factor of ``--lr_factors`` is of nothing in the net.
    """
    names = flags(config.optimizer)
    optimizer = registry[config.optimizer](**{name: getattr(config, name) for name in names})
    optimizer.setup(model)
    if config.clip_gradient:
        # The first hook, so that it sees the gradients of the loss alone.
        optimizer.add_hook(optimizer_hooks.GradientClipping(config.clip_gradient))
    net = getattr(model, 'predictor', model)
    with prefixed('--lr_factors '):
        factors = groups.find(groups.read(config.lr_factors), net)
    parameters = {path.lstrip('/'): parameter for path, parameter in net.namedparams()}
    decoupled = config.optimizer in DECOUPLED
    for name, kind in groups.kinds(net).items():
        decay = 0.0 if config.no_decay_bn and kind != 'weight' else config.weight_decay
        factor = factors[name].factor if name in factors else 1.0
        # The step of such an optimizer is by the factor smaller, its decay included.
        divisor = 1.0 if config.optimizer in NORMALIZED else factor
        _regularize(parameters[name], decay, divisor, config.l2, decoupled)
    pairs = [(parameters[name], factor) for name, factor in factors.items()]
    return optimizer, groups.Rates(
        optimizer, names[0], pairs, config.weight_decay if decoupled else None
    )


def _regularize(
    parameter: chainer.Parameter, decay: float, divisor: float, l2: float, decoupled: bool
) -> None:
    rule = parameter.update_rule
    if decoupled:
        if not decay:
            rule.hyperparam.weight_decay_rate = 0.0  # and not the optimizer's
    elif decay and divisor:
        # By the factor, so that a step takes as much from every parameter.
        rule.add_hook(optimizer_hooks.WeightDecay(decay / divisor))
    if l2 and parameter.ndim > 1:
        # The penalty l2 * w^2 has the gradient 2 * l2 * w.
        rule.add_hook(optimizer_hooks.WeightDecay(2 * l2), name='L2')


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


@registry.register('adamw')
def adamw(alpha: float) -> chainer.Optimizer:
    """Make Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as PyTorch has it.

    A step takes `alpha` x ``weight_decay`` x the parameter from it; see `groups.Rates`.
    """
    return chainer.optimizers.Adam(alpha=alpha)
