"""Resizing and padding inside a net."""

import pathlib

import chainer
import chainer.functions as F
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chainer_cifar import nets
from chainer_cifar.nets.blocks import (
    dropout,
    global_average,
    padded_same,
    upscaled,
    upscaled_size,
)
from chainer_cifar.optim import mixed

UPSCALING = nets.taking('upscale')


def test_dropout_is_chainers():
    x = chainer.Variable(np.ones((100, 30), np.float32))
    found = []
    for function in (F.dropout, dropout):
        np.random.seed(0)
        found.append(function(x, 0.3).array)
    np.testing.assert_array_equal(*found)
    with chainer.using_config('train', False):
        assert dropout(x, 0.3) is x


def test_nets_drop_out_by_what_the_seed_decides():
    # cuDNN's random numbers, which F.dropout takes on a GPU, cannot be seeded.
    folder = pathlib.Path(nets.__file__).parent
    users = [path.name for path in folder.glob('*.py') if 'F.dropout(' in path.read_text()]
    assert users == ['blocks.py']


@settings(max_examples=30)
@given(side=st.integers(2, 12), size=st.integers(12, 40), seed=st.integers(0, 99))
def test_upscaled_is_pillows_bilinear(side, size, seed):
    # Pillow, too, counts from pixel centres and repeats the edge, when it enlarges.
    image = np.random.RandomState(seed).rand(side, side).astype(np.float32)
    wanted = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    got = upscaled(image[None, None], size).array
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0, 0], wanted, atol=1e-5)


def test_upscaled_by_nothing():
    x = np.zeros((1, 3, 4, 4), np.float32)
    assert upscaled(x, 0) is x


def test_upscaled_passes_the_gradient():
    x = chainer.Variable(np.random.RandomState(0).rand(2, 3, 4, 4).astype(np.float32))
    y = upscaled(x, 9)
    y.grad = np.ones_like(y.array)
    y.backward()
    # Each pixel of y is a mean of pixels of x.
    assert x.grad.sum() == pytest.approx(y.array.size)


def test_upscaled_in_float16():
    x = np.random.RandomState(0).rand(2, 3, 4, 4).astype(np.float16)
    y = upscaled(x, 9)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.array, upscaled(x.astype(np.float32), 9).array, atol=1e-3)


def test_a_net_with_float16_weights_uses_the_upscaled_image():
    x = np.random.RandomState(0).rand(1, 3, 16, 16).astype(np.float16)
    with mixed.creating_nets('mixed16'):
        net = nets.create('mobilenet', n_class=3, upscale=32)
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        logits = net(x).array
    assert logits.dtype == np.float16 and np.isfinite(logits).all()


def test_upscaled_keeps_the_proportion():
    x = np.random.RandomState(0).rand(1, 1, 20, 30).astype(np.float32)
    assert upscaled(x, 45).shape == (1, 1, *upscaled_size((20, 30), 45)) == (1, 1, 30, 45)
    assert upscaled(x, 0) is x and upscaled_size((20, 30), 0) == (20, 30)


def test_global_average_of_any_size():
    x = np.random.RandomState(0).rand(2, 3, 5, 4).astype(np.float32)
    np.testing.assert_allclose(global_average(x).array, x.mean((2, 3), keepdims=True), rtol=1e-6)


@pytest.mark.parametrize('name', UPSCALING)
def test_nets_use_the_upscaled_image(name):
    sides = []  # of the output of each convolution

    class Spy(chainer.LinkHook):
        name = 'spy'

        def forward_postprocess(self, args):
            if isinstance(args.link, chainer.links.Convolution2D):
                sides.append(args.out.shape[2])

    x = np.random.RandomState(0).rand(1, 3, 32, 32).astype(np.float32)
    logits = []
    for size in (0, 48):
        np.random.seed(0)
        net = nets.create(name, n_class=3, upscale=size)
        with Spy(), chainer.using_config('train', False), chainer.no_backprop_mode():
            logits.append(net(x).array)
    assert sides[len(sides) // 2] == sides[0] * 48 // 32
    assert logits[0].shape == logits[1].shape == (1, 3)


@given(side=st.integers(1, 30), ksize=st.sampled_from([1, 3, 5, 7]), stride=st.integers(1, 3))
def test_padded_same(side, ksize, stride):
    x = np.ones((1, 1, side, side + 1), np.float32)
    y = padded_same(x, ksize, stride).array[0, 0]
    for n, side_of_y in ((side, len(y)), (side + 1, y.shape[1])):
        assert (side_of_y - ksize) // stride + 1 == -(-n // stride)
    first = int(np.argmax(y.any(1)))
    last = len(y) - first - side
    assert last - first in (0, 1)
    assert y.sum() == x.sum()


def test_padded_same_is_uneven_at_an_even_side():
    y = padded_same(np.ones((1, 1, 4, 4), np.float32), 3, 2).array[0, 0]
    np.testing.assert_array_equal(y, np.pad(np.ones((4, 4)), ((0, 1), (0, 1))))
