import chainer
import numpy as np
import pytest

from chainer_cifar.config import TrainConfig
from chainer_cifar.optim import optimizers
from chainer_cifar.optim.nesterov import Nesterov


@pytest.mark.parametrize(
    ('name', 'kind', 'rate', 'value'),
    [
        ('sgd', chainer.optimizers.MomentumSGD, 'lr', 0.2),
        ('nesterov', Nesterov, 'lr', 0.2),
        ('adam', chainer.optimizers.Adam, 'alpha', 0.003),
        ('adamw', chainer.optimizers.Adam, 'alpha', 0.003),
    ],
)
def test_create(name, kind, rate, value):
    model = chainer.links.BatchNormalization(3)
    config = TrainConfig(optimizer=name, lr=0.2, alpha=0.003, momentum=0.7, weight_decay=0.5)
    optimizer, rates = optimizers.create(config, model)
    assert isinstance(optimizer, kind) and getattr(optimizer, rate) == value
    rates.set(0.25, 0)
    assert getattr(optimizer, rate) == 0.25
    if 'adam' not in name:
        assert optimizer.momentum == 0.7


@pytest.mark.parametrize('optimizer', ['sgd', 'nesterov', 'adam'])
def test_weight_decay_is_a_gradient_of_every_parameter(optimizer):
    model = chainer.links.BatchNormalization(3)
    made, _ = optimizers.create(TrainConfig(optimizer=optimizer, weight_decay=0.5), model)
    model.beta.array[...] = 2
    model.gamma.grad, model.beta.grad = np.zeros((2, 3), np.float32)
    made.update()
    np.testing.assert_array_equal(model.beta.grad, 1)
    np.testing.assert_array_equal(model.gamma.grad, 0.5)


def test_no_weight_decay():
    steps, _ = step(chainer.links.Linear(2, 2, initial_bias=1))
    assert not any(change.any() for change in steps.values())


def step(model, **flags):
    """By how much one step of lr 1, with gradients of 0, changes each parameter."""
    config = TrainConfig(lr=1.0, momentum=0.0, weight_decay=0.0, **flags)
    optimizer, _ = optimizers.create(config, model)
    before = {name: parameter.array.copy() for name, parameter in model.namedparams()}
    for parameter in model.params():
        parameter.grad = np.zeros_like(parameter.array)
    optimizer.update()
    return {name: before[name] - p.array for name, p in model.namedparams()}, before


def test_l2_is_that_of_keras_and_on_kernels_only():
    model = chainer.Sequential(
        chainer.links.Convolution2D(2, 3, 3), chainer.links.BatchNormalization(3)
    )
    for parameter in model.params():
        parameter.array[...] = np.random.rand(*parameter.shape)
    steps, before = step(model, l2=0.1)
    for name, change in steps.items():
        rate = 0.2 if name == '/0/W' else 0.0
        np.testing.assert_allclose(change, rate * before[name], rtol=1e-5, err_msg=name)


def test_clipping_comes_before_weight_decay():
    model = chainer.links.Linear(2, 1, nobias=True, initialW=np.array([[10, 0]]))
    config = TrainConfig(lr=1.0, momentum=0.0, weight_decay=0.1, clip_gradient=0.5)
    optimizer, _ = optimizers.create(config, model)
    model.W.grad = np.array([[3, 4]], np.float32)
    optimizer.update()
    np.testing.assert_allclose(model.W.array, [[10 - 0.3 - 1, -0.4]], rtol=1e-6)
