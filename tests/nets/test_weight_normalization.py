import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer import gradient_check

from chainer_cifar.nets.weight_normalization import WeightNormalizedConvolution2D


def images(n=8, seed=0):
    return 3 + 2 * np.random.RandomState(seed).randn(n, 3, 9, 9).astype(np.float32)


def layer(initialized=False):
    np.random.seed(0)
    conv = WeightNormalizedConvolution2D(3, 5, 3, pad=1)
    conv.initialized = initialized
    return conv


def test_convolves_with_filters_of_length_g():
    conv = layer(initialized=True)
    conv.g.array[...] = range(1, 6)
    conv.b.array[...] = range(5)
    V = conv.V.array
    W = np.stack([g * v / np.linalg.norm(v) for g, v in zip(range(1, 6), V, strict=True)])
    wanted = F.convolution_2d(images(), W, np.arange(5, dtype=np.float32), pad=1).array
    result = conv(images()).array
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


def test_gradients():
    with chainer.using_config('dtype', np.float64):
        conv = layer(initialized=True)
    conv.g.array[...] = range(1, 6)
    rng = np.random.RandomState(1)
    x, gy = rng.randn(2, 3, 4, 4), rng.randn(2, 5, 4, 4)
    gradient_check.check_backward(conv, x, gy, (conv.V, conv.g, conv.b), dtype=np.float64)


def test_first_training_batch_sets_lengths_and_biases():
    conv = layer()
    x = images()
    v = conv.V.array / np.linalg.norm(conv.V.array.reshape(5, -1), axis=1)[:, None, None, None]
    t = F.convolution_2d(x, v, pad=1).array
    h = conv(x).array
    # Each channel of the output has mean 0 and variance 1, by the paper's two formulas.
    np.testing.assert_allclose(h.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(h.var(axis=(0, 2, 3)), 1, rtol=1e-3)
    mean, std = t.mean(axis=(0, 2, 3)), t.std(axis=(0, 2, 3))
    np.testing.assert_allclose(conv.g.array, 1 / std, rtol=1e-3)
    np.testing.assert_allclose(conv.b.array, -mean / std, rtol=1e-3)
    assert conv.g.dtype == conv.b.dtype == np.float32


def test_later_batches_and_test_time_set_nothing():
    conv = layer()
    with chainer.using_config('train', False):
        conv(images())
    assert (conv.g.array == 1).all() and (conv.b.array == 0).all()
    conv(images())
    after_first = conv.g.array.copy(), conv.b.array.copy()
    conv(10 * images(seed=1))
    np.testing.assert_array_equal(conv.g.array, after_first[0])
    np.testing.assert_array_equal(conv.b.array, after_first[1])


@pytest.mark.parametrize('zeros', ['images', 'filter'])
def test_no_nan_where_nothing_varies(zeros):
    conv = layer()
    x = images()
    if zeros == 'images':
        x[...] = 0
    else:
        conv.V.array[2] = 0
    h = conv(x)
    conv.cleargrads()
    F.sum(h * h).backward()
    for array in (h.array, *(p.array for p in conv.params()), *(p.grad for p in conv.params())):
        assert np.isfinite(array).all()


def test_saved_with_its_state(tmp_path):
    def step(conv, optimizer, seed):
        conv.cleargrads()
        F.sum(conv(images(seed=seed)) ** 3).backward()
        optimizer.update()

    conv = layer()
    optimizer = chainer.optimizers.MomentumSGD(1e-4).setup(conv)
    step(conv, optimizer, seed=0)
    chainer.serializers.save_npz(tmp_path / 'conv.npz', conv)
    chainer.serializers.save_npz(tmp_path / 'optimizer.npz', optimizer)
    np.random.seed(1)
    other = WeightNormalizedConvolution2D(3, 5, 3, pad=1)
    other_optimizer = chainer.optimizers.MomentumSGD(1e-4).setup(other)
    chainer.serializers.load_npz(tmp_path / 'conv.npz', other)
    chainer.serializers.load_npz(tmp_path / 'optimizer.npz', other_optimizer)
    assert other.initialized is True
    step(conv, optimizer, seed=1)
    step(other, other_optimizer, seed=1)
    for name in 'Vgb':
        np.testing.assert_array_equal(getattr(conv, name).array, getattr(other, name).array)


def test_copied_with_its_state():
    conv, copy = layer(initialized=True), layer()
    copy.copyparams(conv)
    assert copy.initialized
