"""MobileNet v1 against NumPy in Keras' own layout (N, H, W, C), and its counts."""

import chainer
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.nets.mobilenet import HALVING, WIDTHS
from chainer_cifar.nets.undrawn import undrawn
from known_weights import fill


def convolve(x, kernel, stride, depthwise):
    """x (N, H, W, C), kernel (kH, kW, in, out) or (kH, kW, C, 1); no padding."""
    size = len(kernel)
    height, width = ((side - size) // stride + 1 for side in x.shape[1:3])
    y = 0
    for i in range(size):
        for j in range(size):
            part = x[:, i : i + stride * height : stride, j : j + stride * width : stride]
            y = y + (part * kernel[i, j, :, 0] if depthwise else part @ kernel[i, j])
    return y


def reference(arrays, x):
    def unit(name, x, zeros=(0, 0), stride=1, depthwise=False):
        kernel = arrays[f'{name}/W'].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        h = np.pad(x, ((0, 0), zeros, zeros, (0, 0)))
        h = convolve(h, kernel, stride, depthwise)
        gamma, beta, mean, var = (
            arrays[f'{name}_bn/{part}'] for part in ('gamma', 'beta', 'avg_mean', 'avg_var')
        )
        h = gamma * (h - mean) / np.sqrt(var + np.float32(1e-3)) + beta
        return np.clip(h, 0, 6)

    h = unit('conv1', x.transpose(0, 2, 3, 1), (0, 1), 2)
    for i in range(1, len(WIDTHS) + 1):
        zeros, stride = ((0, 1), 2) if i in HALVING else ((1, 1), 1)
        h = unit(f'conv_dw_{i}', h, zeros, stride, depthwise=True)
        h = unit(f'conv_pw_{i}', h)
    return h.mean((1, 2)) @ arrays['fc/W'].T + arrays['fc/b']


@pytest.mark.parametrize('side', [32, 64])
def test_same_as_keras_arithmetic(side):
    with undrawn():
        net = nets.create('mobilenet', n_class=3)
    arrays = fill(net)
    x = np.random.RandomState(1).uniform(-1, 1, (2, 3, side, side)).astype(np.float32)
    with chainer.using_config('train', False):
        got = net(x).array
    wanted = reference(arrays, x)
    assert np.abs(got - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert np.abs(wanted).max() > 0.1


@undrawn()
def test_counts_of_article_001():
    state = chainer.serializers.DictionarySerializer()
    net = nets.create('mobilenet')
    state.save(net)
    statistics = sum(array.size for name, array in state.target.items() if '/avg_' in name)
    assert (net.count_params(), statistics) == (3_217_226, 21_888)
    assert net.count_params() + statistics == 3_239_114


def test_initial_values_are_glorot_uniform():
    net = nets.create('mobilenet')
    for name, fans in (('conv1', 27 + 288), ('conv_dw_3', 9 + 9 * 128), ('conv_pw_13', 2048)):
        limit = np.sqrt(6 / fans)
        greatest = np.abs(net[name].W.array).max()
        assert 0.95 * limit < greatest <= limit, name
    assert not net.fc.b.array.any()
