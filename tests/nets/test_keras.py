"""Our nets against Keras' own, from the same weights (see benchmarks/keras_outputs.py)."""

import pathlib

import chainer
import chainer.links as L
import numpy as np
import pytest

import keras_weights
from chainer_cifar import nets
from chainer_cifar.nets.undrawn import undrawn

OUTPUTS = np.load(pathlib.Path(__file__).with_name('keras_outputs.npz'))


def fill(net):
    """Give each link the weights that the Keras layer of its name has."""
    flattened = getattr(net, 'flattened', {})
    for path, link in net.namedlinks(skipself=True):
        name = path[1:].replace('/', '_')
        if isinstance(link, L.Convolution2D):
            out_channels, in_channels, *size = link.W.shape
            depthwise = link.groups > 1
            shape = (*size, out_channels, 1) if depthwise else (*size, in_channels, out_channels)
            kernel = draw_into(link, name, shape)
            link.W.array[...] = kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        elif isinstance(link, L.Linear):
            kernel = draw_into(link, name, link.W.shape[::-1])
            if name in flattened:
                c, h, w = flattened[name]
                kernel = kernel.reshape(h, w, c, -1).transpose(2, 0, 1, 3).reshape(h * w * c, -1)
            link.W.array[...] = kernel.T
        elif isinstance(link, L.BatchNormalization):
            names = ('gamma', 'beta', 'moving_mean', 'moving_variance')
            values = keras_weights.draw(name, dict.fromkeys(names, link.gamma.shape))
            link.gamma.array[...], link.beta.array[...] = values['gamma'], values['beta']
            link.avg_mean[...], link.avg_var[...] = (
                values['moving_mean'],
                values['moving_variance'],
            )


def draw_into(link, name, shape):
    """Set the bias, if there is one; the kernel as Keras has it."""
    shapes = {'kernel': shape}
    if link.b is not None:
        shapes['bias'] = link.b.shape
    values = keras_weights.draw(name, shapes)
    if link.b is not None:
        link.b.array[...] = values['bias']
    return values['kernel']


@pytest.mark.parametrize('name', OUTPUTS.files)
def test_logits_are_those_of_keras(name):
    with undrawn():
        net = nets.create(name)
    fill(net)
    images = np.ascontiguousarray(keras_weights.images().transpose(0, 3, 1, 2))
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        logits = net(images).array
    expected = OUTPUTS[name]
    assert np.ptp(expected, axis=0).min() > 0.01 * np.abs(expected).max()  # it depends on the image
    error = np.abs(logits - expected).max() / np.abs(expected).max()
    print(f'{name}: {error:.1e}')
    assert error < 1e-5
