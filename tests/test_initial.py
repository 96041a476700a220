import chainer
import numpy as np
import pytest

from chainer_cifar import initial
from chainer_cifar.config import TrainConfig
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.errors import UserError

CPU = chainer.get_device('@numpy')


def draw(n_image=50, **flags):
    labels = np.arange(n_image) % 3
    data = Dataset(np.zeros((n_image, 3, 32, 32), np.uint8), labels, None, None, list('abc'))
    return initial.draw(TrainConfig(model='simple_gap', **flags), data, CPU)


def numbers(drawn):
    return [*drawn.iterator.next(), *drawn.net.dense_2.W.array.ravel(), *np.random.rand(3)]


def test_the_seed_decides_all_that_is_drawn():
    assert numbers(draw(batch_size=5)) == numbers(draw(batch_size=5))
    assert numbers(draw(batch_size=5)) != numbers(draw(batch_size=5, seed=2))


def test_batches_are_of_the_training_images():
    drawn = draw(batch_size=45)
    assert sorted(drawn.iterator.next()) == [(i, 0) for i in sorted(drawn.split.train)]
    assert len(drawn.split.valid) == 5
    assert len(draw(batch_size=45, no_valid_data=True).split.valid) == 0


def test_the_net_alone_is_the_same_net():
    net = initial.draw_net(TrainConfig(model='simple_gap'), 3, (3, 32, 32), CPU)
    np.testing.assert_array_equal(net.dense_2.W.array, draw(batch_size=5).net.dense_2.W.array)


def test_too_few_images():
    with pytest.raises(UserError, match=r'9 training images are too few .* --no_valid_data'):
        draw(9, batch_size=5)
    told = r'^--batch_size 10: there are only 9 training images; give at most that, as in -b 8$'
    with pytest.raises(UserError, match=told):
        draw(9, batch_size=10, no_valid_data=True)
    with pytest.raises(UserError, match=r'as in -b 32$'):
        draw(100, batch_size=100)
