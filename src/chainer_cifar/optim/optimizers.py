"""The optimizers of ``--optimizer``. To add one: a function here that makes it.

Its parameters are flags. The first is the learning rate, and an attribute of the optimizer.
"""

import inspect

import chainer
from chainer import optimizer_hooks

from chainer_cifar.optim.nesterov import Nesterov
from chainer_cifar.registry import Registry

registry = Registry('optimizer')


def create(config, model):
    """The optimizer that the config names, set up on `model` with its regularization.

    Returns:
        (chainer.Optimizer, str): and the name of its attribute that is the learning rate.
    """
    names = flags(config.optimizer)
    optimizer = registry[config.optimizer](**{name: getattr(config, name) for name in names})
    optimizer.setup(model)
    if config.clip_gradient:
        # First, so that it sees the gradients of the loss alone.
        optimizer.add_hook(optimizer_hooks.GradientClipping(config.clip_gradient))
    if config.weight_decay:
        # On every parameter, biases and batch normalization included, as article 000 has it.
        optimizer.add_hook(optimizer_hooks.WeightDecay(config.weight_decay))
    if config.l2:
        for parameter in model.params():
            if parameter.ndim > 1:
                # The penalty l2 * w^2 has the gradient 2 * l2 * w.
                hook = optimizer_hooks.WeightDecay(2 * config.l2)
                parameter.update_rule.add_hook(hook, name='L2')
    return optimizer, names[0]


def flags(name):
    """The flags that the optimizer `name` has a use for, its learning rate first."""
    return list(inspect.signature(registry[name]).parameters)


@registry.register('sgd')
def sgd(lr, momentum):
    return chainer.optimizers.MomentumSGD(lr=lr, momentum=momentum)


@registry.register('nesterov')
def nesterov(lr, momentum):
    return Nesterov(lr=lr, momentum=momentum)


@registry.register('adam')
def adam(alpha):
    return chainer.optimizers.Adam(alpha=alpha)
