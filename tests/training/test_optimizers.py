import chainer
import numpy as np
import pytest

from chainer_cifar.training import optimizers
from chainer_cifar.training.config import TrainConfig


@pytest.mark.parametrize(
    ('name', 'kind', 'rate', 'value'),
    [
        ('sgd', chainer.optimizers.MomentumSGD, 'lr', 0.2),
        ('adam', chainer.optimizers.Adam, 'alpha', 0.003),
    ],
)
def test_create(name, kind, rate, value):
    model = chainer.links.BatchNormalization(3)
    config = TrainConfig(optimizer=name, lr=0.2, alpha=0.003, weight_decay=0.5)
    optimizer, attribute = optimizers.create(config, model)
    assert isinstance(optimizer, kind) and attribute == rate
    assert getattr(optimizer, attribute) == value
    if name == 'sgd':
        assert optimizer.momentum == 0.9
    # Weight decay acts on every parameter, batch normalization's beta included.
    model.beta.array[...] = 2
    model.gamma.grad, model.beta.grad = np.zeros((2, 3), np.float32)
    optimizer.call_hooks('pre')
    np.testing.assert_array_equal(model.beta.grad, 1)
    np.testing.assert_array_equal(model.gamma.grad, 0.5)


def test_no_hook_without_weight_decay():
    optimizer, _ = optimizers.create(TrainConfig(weight_decay=0), chainer.links.Linear(2, 2))
    assert not optimizer._pre_update_hooks
