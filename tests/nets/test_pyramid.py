import math

import chainer
import chainer.functions as F
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainer_cifar.nets.pyramid import PyramidBlock, PyramidNet, widths


def test_widths_of_the_original():
    # Its alpha is 16 a stage; it adds 16 / res_depth a block and rounds.
    for depth in (1, 2, 3, 12, 18):
        wanted = [round(16 + 16 * k / depth) for k in range(1, 3 * depth + 1)]
        assert widths(depth, 48) == wanted


@given(depth=st.integers(1, 40), alpha=st.integers(0, 300))
def test_widths_rise_evenly(depth, alpha):
    channels = widths(depth, alpha)
    assert len(channels) == 3 * depth and channels[-1] == 16 + alpha
    for k, width in enumerate(channels, start=1):
        assert width == math.floor(16 + alpha * k / (3 * depth) + 0.5 + 1e-9)


def test_net_is_as_wide_as_planned():
    net = PyramidNet(res_depth=2, pyramid_alpha=20)
    assert [block.conv2.W.shape[0] for block in net.blocks] == widths(2, 20)
    assert [block.conv1.W.shape[1] for block in net.blocks] == [16, *widths(2, 20)[:-1]]
    assert [block.stride for block in net.blocks] == [1, 1, 2, 1, 2, 1]


def test_block():
    block = PyramidBlock(4, 6, stride=2, skip_ratio=0.25)
    x = np.random.RandomState(0).randn(2, 4, 8, 8).astype(np.float32)
    with chainer.using_config('train', False):
        h = F.relu(block.bn2(block.conv1(block.bn1(x))))
        h = block.bn3(block.conv2(h)).array
        result = block(x).array
    assert result.shape == (2, 6, 4, 4)
    np.testing.assert_allclose(result[:, 4:], 0.75 * h[:, 4:], rtol=1e-5)  # zeros come last
    np.testing.assert_allclose(result[:, :4], 0.75 * h[:, :4] + x[:, :, ::2, ::2], rtol=1e-4)


def test_stochastic_depth():
    net = PyramidNet(res_depth=2, skip_depth=True)
    ratios = [block.skip_ratio for block in net.blocks]
    np.testing.assert_allclose(ratios, [0, 1 / 6, 0, 1 / 3, 0, 1 / 2])


def test_initial_weights():
    np.random.seed(0)
    block = PyramidBlock(48, 64)
    for conv in (block.conv1, block.conv2):
        assert conv.W.array.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)
