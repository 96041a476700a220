"""The optimizers of ``--optimizer``. To add one: a function here that makes it from the config."""

import chainer
from chainer import optimizer_hooks

from chainer_cifar.registry import Registry
from chainer_cifar.training.nesterov import Nesterov

optimizers = Registry('optimizer')


def create(config, model):
    """The optimizer that the config names, set up on `model` with its regularization.

    Returns:
        (chainer.Optimizer, str): and the name of its attribute that is the learning rate.
    """
    optimizer, rate = optimizers[config.optimizer](config)
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
    return optimizer, rate


@optimizers.register('sgd')
def sgd(config):
    return chainer.optimizers.MomentumSGD(lr=config.lr, momentum=config.momentum), 'lr'


@optimizers.register('nesterov')
def nesterov(config):
    return Nesterov(lr=config.lr, momentum=config.momentum), 'lr'


@optimizers.register('adam')
def adam(config):
    return chainer.optimizers.Adam(alpha=config.alpha), 'alpha'
