import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.evaluation import layers
from chainer_cifar.nets.undrawn import undrawn

IMAGE = np.zeros((1, 3, 32, 32), np.float32)
KERAS = {  # total, trainable, not: FACTS of the articles, counted by Keras
    'simple': (591_390, 591_390, 0),
    'simple_gap': (6_390, 6_390, 0),
    'conv10': (2_974_986, 2_972_298, 2_688),
    'resnet164': (1_727_482, 1_703_258, 24_224),
    'vgg16bn': (33_655_114, 33_646_666, 8_448),
}


def totals(rows):
    names = ('trainable', 'fixed', 'multiply_adds')
    return [sum(getattr(row, name) for row in rows) for name in names]


@undrawn()
@pytest.mark.parametrize('name', KERAS)
def test_keras_counts(name):
    rows, _ = layers.trace(nets.create(name), IMAGE)
    trainable, fixed, _ = totals(rows)
    assert (trainable + fixed, trainable, fixed) == KERAS[name]


@undrawn()
@pytest.mark.parametrize('name', [name for name in nets.registry if 'vgg16' not in name])
def test_every_net(name):
    net = nets.create(name)
    rows, chains = layers.trace(net, IMAGE)
    assert all(row.shape and row.shape[0] == 1 for row in rows)
    assert rows[-1].shape == (1, 10)
    assert sum(row.trainable for row in rows) == net.count_params()
    assert len({row.path for row in rows if row.is_link}) == sum(row.is_link for row in rows)
    for depth in range(1, 5):
        assert totals(layers.collapse(rows, chains, depth)) == totals(rows)


class Odd(chainer.Chain):
    """A link used twice, one not used, parameters of a chain's own, a grouped convolution."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.twice = L.Convolution2D(3, 3, 1)
            self.groups = L.Convolution2D(3, 6, 3, stride=2, pad=1, groups=3, nobias=True)
            self.up = L.Deconvolution2D(6, 2, 4, stride=2, pad=1)
            self.inner = chainer.Sequential(L.Linear(None, 5), F.relu)
            self.unused = L.Linear(7, 7)
            self.scale = chainer.Parameter(1.0, (5,))

    def forward(self, x):
        h = F.dropout(self.twice(self.twice(x)))
        return self.inner(self.up(self.groups(h))) * F.broadcast_to(self.scale, (1, 5))


def test_odd_net():
    net = Odd()
    rows, chains = layers.trace(net, IMAGE)
    by_path = {row.path: row for row in rows if row.is_link}
    assert sum(row.trainable for row in rows) == net.count_params()
    assert by_path['groups'].multiply_adds == 6 * 16 * 16 * 9
    assert by_path['up'].multiply_adds == 6 * 16 * 16 * 2 * 16
    assert by_path['up'].shape == (1, 2, 32, 32)
    assert [row.trainable for row in rows[:2]] == [12, 0]  # counted once
    assert sum(row.multiply_adds for row in rows[:2]) == 2 * 9 * 1024
    assert by_path['unused'].shape is None and by_path[''].trainable == 5
    assert [(chain.path, chain.shape) for chain in chains] == [('inner', (1, 5)), ('', (1, 5))]
    assert not chainer.get_function_hooks()
    text = layers.table(rows, chains)
    assert 'not called' in text and 'Multiply' in text


@undrawn()
def test_collapse():
    net = nets.create('resnet164', res_depth=1)
    rows, chains = layers.trace(net, IMAGE)
    two = layers.collapse(rows, chains, 2)
    assert [row.path for row in two] == [
        'conv1',
        *('units/0', 'units/1', 'units/2'),
        *('bn', '', ''),
        'fc',
    ]
    assert [row.kind for row in two[1:4]] == ['BottleneckUnit'] * 3
    assert [row.shape for row in two[1:4]] == [(1, 64, 32, 32), (1, 128, 16, 16), (1, 256, 8, 8)]
    one = layers.collapse(rows, chains, 1)
    assert [row.kind for row in one[:2]] == ['Convolution2D', 'ChainList']
    assert one[1].shape == (1, 256, 8, 8)
    assert layers.collapse(rows, chains, 3) == rows


@undrawn()
def test_a_long_table_is_collapsed():
    traced = layers.trace(nets.create('resnet164'), IMAGE)
    assert len(layers.table(*traced).splitlines()) < layers.LINES + 10
    assert '--depth 3 shows all' in layers.table(*traced)
    assert '--depth' not in layers.table(*traced, depth=7)


def test_outputs():
    net = nets.create('cnnbn')
    rows, _ = layers.trace(net, IMAGE)
    assert [row.path for row in layers.convolutions(rows)] == [f'bconv{i}/conv' for i in (1, 2, 3)]
    x = np.random.RandomState(0).randn(2, 3, 32, 32).astype(np.float32)
    first, norm = layers.outputs(net, x, ['bconv1/conv', 'bconv1/bn'])
    with chainer.using_config('train', False):
        np.testing.assert_array_equal(first, net.bconv1.conv(x).array)
        np.testing.assert_array_equal(norm, net.bconv1.bn(first).array)
