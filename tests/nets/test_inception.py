import chainer
import chainer.functions as F
import numpy as np

from chainer_cifar.nets.inception import InceptionBlock


def test_block_joins_six_branches_without_relu():
    np.random.seed(0)
    block = InceptionBlock(8, 4, 10)
    x = np.random.RandomState(0).randn(2, 8, 6, 6).astype(np.float32)
    with chainer.using_config('train', False):
        branches = [
            F.relu(block.conv1_1.bn(block.conv1_1.conv(x))),
            block.conv2_2(block.conv2_1(x)),
            block.conv3_3(block.conv3_2(block.conv3_1(x))),
            block.conv4_1(x),
            block.conv5_2(block.conv5_1(x)),
            block.conv6_3(block.conv6_2(block.conv6_1(x))),
        ]
        assert all(branch.shape == (2, 8, 6, 6) for branch in branches)
        wanted = block.join.bn(block.join.conv(F.concat(branches))).array
        result = block(x).array
    assert result.shape == (2, 10, 6, 6)
    np.testing.assert_array_equal(result, wanted)
    assert (result < 0).any()
