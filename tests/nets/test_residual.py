import chainer
import chainer.functions as F
import numpy as np
import pytest

from chainer_cifar.nets.residual import ResidualBlock, ResidualNet


def article_ratios(depth):
    """Skip probabilities as the article's three loops compute them."""
    size = depth * 3 - 3
    ratios = [i / size * 0.5 for i in range(depth)]
    ratios += [0] + [(i + depth) / size * 0.5 for i in range(depth - 1)]
    ratios += [0] + [(i + depth * 2 - 1) / size * 0.5 for i in range(depth - 1)]
    return ratios


@pytest.mark.parametrize('depth', [2, 3, 12, 18])
def test_skip_ratios(depth):
    ratios = [block.skip_ratio for block in ResidualNet(res_depth=depth, skip_depth=True).blocks]
    np.testing.assert_allclose(ratios, article_ratios(depth))
    assert ratios[0] == 0 and ratios[-1] == 0.5


def test_no_skipping_unless_asked_or_with_nothing_to_skip():
    for net in (ResidualNet(res_depth=3), ResidualNet(res_depth=1, skip_depth=True)):
        assert all(block.skip_ratio == 0 for block in net.blocks)


def test_layers():
    net = ResidualNet(res_depth=12)
    convolutions = [link for link in net.links() if isinstance(link, chainer.links.Convolution2D)]
    assert len(convolutions) + 1 == 74
    assert all(link.b is not None for link in convolutions)


def test_he_initialization():
    np.random.seed(0)
    block = ResidualBlock(64, 64)
    assert block.conv1.W.array.std() == pytest.approx(np.sqrt(2 / (64 * 9)), rel=0.02)
    assert (block.conv1.b.array == 0).all()


def test_stochastic_depth_in_training_and_test():
    block = ResidualBlock(4, 4, skip_ratio=0.25)
    x = chainer.Variable(np.random.RandomState(0).rand(2, 4, 8, 8).astype(np.float32))
    np.random.seed(0)
    skipped = np.mean([block(x) is x for _ in range(400)])
    assert abs(skipped - 0.25) < 0.1

    with chainer.using_config('train', False):
        result = block(x).array
        residual = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x))))).array
        np.testing.assert_allclose(result, np.maximum(x.array + 0.75 * residual, 0), rtol=1e-5)


def test_swapout_drops_residual_and_shortcut_apart():
    block = ResidualBlock(4, 4, swapout=True)
    x = np.ones((64, 4, 8, 8), np.float32)
    np.random.seed(0)
    with chainer.using_config('train', False):
        plain = ResidualBlock(4, 4)
        plain.copyparams(block)
        np.testing.assert_array_equal(block(x).array, plain(x).array)
    # A residual of 0 leaves the dropped shortcut: 0 or 2, half of each.
    block.bn2.gamma.array[...] = 0
    result = block(x).array
    assert set(np.unique(result)) == {0.0, 2.0}
    assert abs(result.mean() - 1) < 0.05
