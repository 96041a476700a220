import chainer
import chainer.functions as F
import numpy as np

from chainer_cifar.nets.identity_mapping import IdentityMapping, IdentityMappingBlock


def test_nothing_but_the_sum_on_the_way():
    block = IdentityMappingBlock(4, 4)
    block.conv2.W.array[...] = 0
    x = np.random.RandomState(0).randn(2, 4, 8, 8).astype(np.float32)
    np.testing.assert_array_equal(block(x).array, x)  # below zero, too


def test_activation_comes_first():
    block = IdentityMappingBlock(4, 6, stride=2, skip_ratio=0.25)
    x = np.random.RandomState(0).randn(2, 4, 8, 8).astype(np.float32)
    with chainer.using_config('train', False):
        h = block.conv1(F.relu(block.bn1(x)))
        h = block.conv2(F.relu(block.bn2(h))).array
        result = block(x).array
    assert result.shape == (2, 6, 4, 4)
    np.testing.assert_allclose(result[:, :2], 0.75 * h[:, :2], rtol=1e-5)
    np.testing.assert_allclose(result[:, 2:], 0.75 * h[:, 2:] + x[:, :, ::2, ::2], rtol=1e-4)


def test_normalization_and_relu_before_the_mean():
    net = IdentityMapping(res_depth=1)
    net.bn.beta.array[...] = -1000  # the ReLU then lets nothing through
    x = np.random.RandomState(0).rand(2, 3, 32, 32).astype(np.float32)
    net.fc.b.array[...] = range(10)
    np.testing.assert_array_equal(net(x).array, [range(10)] * 2)


def test_stochastic_depth():
    net = IdentityMapping(res_depth=3, skip_depth=True, swapout=True)
    ratios = [block.skip_ratio for block in net.blocks]
    np.testing.assert_allclose(ratios, [0, 1 / 12, 1 / 6, 0, 1 / 4, 1 / 3, 0, 5 / 12, 1 / 2])
    assert all(block.swapout for block in net.blocks)
    x = chainer.Variable(np.zeros((1, 64, 4, 4), np.float32))
    np.random.seed(0)
    skipped = np.mean([net.blocks[-1](x) is x for _ in range(200)])
    assert 0.4 < skipped < 0.6
