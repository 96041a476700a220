import chainer
import chainer.functions as F
import numpy as np
import pytest

from chainer_cifar.nets.shake import ShakeBlock, shake_shake


def shaken(n=2000, dtype=np.float32):
    """Weights of x1 for each image, forward and backward, and the output."""
    rng = np.random.RandomState(1)
    x1 = chainer.Variable(1 + rng.rand(n, 2, 3, 3).astype(dtype))
    x2 = chainer.Variable(-1 - rng.rand(n, 2, 3, 3).astype(dtype))
    y = shake_shake(x1, x2)
    y.grad = gy = 1 + rng.rand(*y.shape).astype(dtype)
    y.backward()
    forward = (y.array - x2.array) / (x1.array - x2.array)
    assert x1.grad.dtype == x2.grad.dtype == y.dtype == dtype
    np.testing.assert_allclose(x1.grad + x2.grad, gy, rtol=1e-5)
    return forward, x1.grad / gy, y.array


def test_weights():
    np.random.seed(0)
    forward, backward, _ = shaken()
    for weights in (forward, backward):
        # One for each image, and uniform on [0, 1).
        np.testing.assert_allclose(weights, weights[:, :1, :1, :1] + 0 * weights, atol=1e-5)
        each = weights[:, 0, 0, 0]
        assert -1e-6 < each.min() < 0.01 and 0.99 < each.max() < 1 + 1e-6
        assert abs(each.mean() - 0.5) < 0.03 and abs(each.var() - 1 / 12) < 0.01
    correlation = np.corrcoef(forward[:, 0, 0, 0], backward[:, 0, 0, 0])[0, 1]
    assert abs(correlation) < 0.1


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_same_seed_same_numbers(dtype):
    results = []
    for _ in range(2):
        np.random.seed(5)
        results.append(shaken(10, dtype))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_exact_mean_at_test_time():
    x1, x2 = np.random.RandomState(0).randn(2, 4, 3, 2, 2).astype(np.float32)
    with chainer.using_config('train', False):
        y = shake_shake(chainer.Variable(x1), chainer.Variable(x2))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.array, (x1 + x2) / 2)


def test_branches_must_be_alike():
    x = np.zeros((2, 3), np.float32)
    for other in (np.zeros((2, 4), np.float32), np.zeros((2, 3), np.float64)):
        with pytest.raises(chainer.utils.type_check.InvalidType):
            shake_shake(x, other)


def test_block():
    block = ShakeBlock(4, 6, stride=2)
    x = np.random.RandomState(0).rand(2, 4, 8, 8).astype(np.float32)
    with chainer.using_config('train', False):
        h1 = block.bn1_2(block.conv1_2(F.relu(block.bn1_1(block.conv1_1(x))))).array
        h2 = block.bn2_2(block.conv2_2(F.relu(block.bn2_1(block.conv2_1(x))))).array
        result = block(x).array
    wanted = (h1 + h2) / 2
    wanted[:, 2:] += x[:, :, ::2, ::2]
    np.testing.assert_allclose(result, np.maximum(wanted, 0), rtol=1e-5)
