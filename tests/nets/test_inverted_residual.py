"""MobileNet v2 and EfficientNet-Lite0: logits that PyTorch computed, counts, blocks."""

import chainer
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.nets.inverted_residual import InvertedResidual
from chainer_cifar.nets.undrawn import undrawn
from known_weights import fill

# Of torch.nn.functional's convolutions, padding, batch normalization and relu6, in evaluation mode,
# on the same weights; 45 pixels make odd sides, where the two paddings differ most.
LOGITS = {
    ('efficientnet_lite0', 32): [
        [-0.233386, 1.842054, -0.747390, 4.574526],
        [-0.723142, 1.824315, -0.292535, 4.379298],
    ],
    ('efficientnet_lite0', 45): [
        [-2.900068, -0.332845, -1.348679, 4.242824],
        [-2.205836, 0.348675, -0.907824, 3.048224],
    ],
    ('mobilenet_v2', 32): [
        [-5.282045, -2.596605, 0.196738, 0.395072],
        [-6.322798, -0.943342, -2.568058, 1.116896],
    ],
    ('mobilenet_v2', 45): [
        [-3.160644, 1.162613, -2.887878, 2.343934],
        [-3.467664, 0.039707, -2.688524, 2.972302],
    ],
}


@pytest.mark.parametrize(('name', 'side'), LOGITS)
def test_same_logits_as_pytorch(name, side):
    with undrawn():
        net = nets.create(name, n_class=4)
    fill(net)
    x = np.random.RandomState(1).uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
    with chainer.using_config('train', False):
        got = net(x).array
    wanted = np.array(LOGITS[name, side])
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()


@undrawn()
@pytest.mark.parametrize(
    ('name', 'count'), [('mobilenet_v2', 3_504_872), ('efficientnet_lite0', 4_652_008)]
)
def test_published_counts_with_1000_classes(name, count):
    assert nets.create(name, n_class=1000).count_params() == count


@pytest.mark.parametrize(
    ('stride', 'out_channels', 'shortcut'), [(1, 4, True), (1, 5, False), (2, 4, False)]
)
def test_shortcut_only_between_equal_shapes(stride, out_channels, shortcut):
    block = InvertedResidual(4, out_channels, 3, stride, 6, chainer.links.BatchNormalization, True)
    x = np.random.RandomState(0).randn(2, 4, 8, 8).astype(np.float32)
    block.project_bn.gamma.array[:] = 0  # leaves the shortcut alone
    y = block(x).array
    assert y.shape == (2, out_channels, 8 // stride, 8 // stride)
    np.testing.assert_array_equal(y, x if shortcut else np.zeros_like(y))


def test_no_expansion_no_first_convolution():
    block = InvertedResidual(4, 4, 5, 1, 1, chainer.links.BatchNormalization, False)
    names = {name.split('/')[1] for name, _ in block.namedparams()}
    assert names == {'depthwise', 'depthwise_bn', 'project', 'project_bn'}
