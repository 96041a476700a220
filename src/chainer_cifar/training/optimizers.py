"""The optimizers of ``--optimizer``. To add one: a function here that makes it from the config."""

import chainer

from chainer_cifar.registry import Registry

optimizers = Registry('optimizer')


def create(config, model):
    """The optimizer that the config names, set up on `model` with its weight decay.

    Returns:
        (chainer.Optimizer, str): and the name of its attribute that is the learning rate.
    """
    optimizer, rate = optimizers[config.optimizer](config)
    optimizer.setup(model)
    if config.weight_decay:
        # On every parameter, biases and batch normalization included, as article 000 has it.
        optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(config.weight_decay))
    return optimizer, rate


@optimizers.register('sgd')
def sgd(config):
    return chainer.optimizers.MomentumSGD(lr=config.lr, momentum=0.9), 'lr'


@optimizers.register('adam')
def adam(config):
    return chainer.optimizers.Adam(alpha=config.alpha), 'alpha'
