import chainer
import numpy as np

from chainer_cifar import nets
from chainer_cifar.nets.undrawn import undrawn
from chainer_cifar.nets.vgg import CReLUConv2D


class Functions(chainer.FunctionHook):
    """Notes dropout ratios, and what is pooled how."""

    def __init__(self):
        self.calls = []

    def forward_postprocess(self, function, in_data):
        if function.label == 'Dropout':
            self.calls.append(function.dropout_ratio)
        elif 'Pooling' in function.label:
            self.calls.append((function.label[:3], in_data[0].shape[1:]))


@undrawn()
def calls(name):
    x = np.random.RandomState(0).rand(1, 3, 32, 32).astype(np.float32)
    with Functions() as functions:
        nets.create(name)(x)
    return functions.calls


def test_dropout_and_pooling_of_vgg_and_crelu():
    pooled = [('Max', (64, 32, 32)), 0.25, ('Max', (128, 16, 16)), 0.25, ('Max', (256, 8, 8)), 0.25]
    assert calls('vgg') == calls('vgg_crelu') == [*pooled, 0.5, 0.5]
    assert calls('vgg_no_fc') == [*pooled, ('Ave', (256, 4, 4)), 0.5]


def test_dropout_and_pooling_of_vgg_wide():
    wanted = []
    for n, shape in ((4, (128, 32, 32)), (4, (256, 16, 16)), (8, (512, 8, 8))):
        wanted += [0.25] * (n - 1) + [('Max', shape), 0.25]
    assert calls('vgg_wide') == [*wanted, ('Ave', (512, 4, 4)), 0.5]


def test_crelu_uses_both_signs():
    block = CReLUConv2D(3, 8, 3, pad=1)
    assert block.conv.W.shape == (4, 3, 3, 3)
    x = np.random.RandomState(0).randn(2, 3, 8, 8).astype(np.float32)
    with chainer.using_config('train', False):  # the normalization is all but the identity
        result = block(x).array
    convolved = block.conv(x).array
    signs = np.concatenate([convolved, -convolved], axis=1)
    np.testing.assert_allclose(result, np.maximum(signs, 0), rtol=1e-4)
