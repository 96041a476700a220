"""Grad-CAM and occlusion maps."""

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest

import chainer_onednn
from chainer_cifar import nets
from chainer_cifar.evaluation import heat_maps, inference
from chainer_cifar.nets.undrawn import undrawn
from chainer_onednn import winograd


class Corners(chainer.Chain):
    """Class 0 is light at the top left, class 1 light at the bottom right."""

    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv = L.Convolution2D(3, 1, 1, nobias=True, initialW=1 / 3)
            self.head = L.Linear(64, 2, nobias=True, initialW=0)
        self.head.W.array[0].reshape(8, 8)[:4, :4] = 1 / 16
        self.head.W.array[1].reshape(8, 8)[4:, 4:] = 1 / 16

    def forward(self, x):
        return self.head(F.average_pooling_2d(F.relu(self.conv(x)), 4))


@pytest.fixture
def x():
    """Both corners are light."""
    x = np.zeros((2, 3, 32, 32), np.float32)
    x[:, :, 4:12, 4:12] = x[:, :, 20:28, 20:28] = 4
    return x


def test_grad_cam(x):
    # The last maps are the 8x8 ones that the head takes; all of a channel has one weight, and so
    # it cannot tell the corners apart: it shows where it is light.
    maps = heat_maps.grad_cam(Corners(), x, [0, 1])
    light = np.zeros((8, 8))
    light[1:3, 1:3] = light[5:7, 5:7] = 1
    np.testing.assert_allclose(maps, [light, light], atol=1e-6)


def test_nothing_speaks_for_it(x):
    net = Corners()
    net.head.W.array *= -1
    assert (heat_maps.grad_cam(net, x, [0, 1]) == 0).all()


def test_a_net_without_maps(x):
    class Flat(chainer.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.head = L.Linear(3, 2)

        def forward(self, x):
            return self.head(x[:, :, 0, 0])

    small = x[:, :, 4:5, 4:5]
    assert heat_maps.grad_cam(Flat(), small, [0, 1]) is None


@pytest.mark.parametrize(
    ('name', 'side', 'last'),
    [('mobilenet', 32, 2), ('mobilenet', 48, 3), ('efficientnet_lite0', 32, 2)],
)
def test_a_border_is_no_part_of_the_picture(name, side, last):
    # They put one around small maps before a convolution with a stride leaves a single pixel.
    with undrawn():
        net = nets.create(name, shape=(3, side, side))
    heat = heat_maps.grad_cam(net, np.zeros((1, 3, side, side), np.float32), [0])
    assert heat.shape[1:] == (last, last)


def test_occlusion(x):
    net = Corners()
    first, second = heat_maps.occlusion(lambda x: inference.logits(net, [x]), x, [0, 1])
    assert first.shape == (32, 32)
    # Covering the corner of its class costs most, and covering the other one helps.
    assert first[4:12, 4:12].mean() > 0.02 and first[20:28, 20:28].mean() < -0.02
    np.testing.assert_allclose(first, second[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize('name', ['simple_gap', 'airbench94', 'residual', 'cnnwn', 'mobilenet_v2'])
def test_nets(name):
    options = {'res_depth': 1} if name == 'residual' else {}
    net = nets.create(name, **options)
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    with chainer_onednn.enable(winograd=False):
        was = chainer_onednn.describe(), winograd.is_allowed()
        heat = heat_maps.grad_cam(net, x, [3, 4])
        assert (chainer_onednn.describe(), winograd.is_allowed()) == was
    plain = heat_maps.grad_cam(net, x, [3, 4])
    assert len(heat) == 2 and min(heat.shape[1:]) > 1
    assert heat.min() >= 0 and heat.max() <= 1
    np.testing.assert_array_equal(heat, plain)
