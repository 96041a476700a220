"""The gradients of a first layer's weights, by the kernel and by Chainer in float64."""

import os
import subprocess
import sys

import chainer.functions as F
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainer_onednn import convolution, first_layer, kernels
from side_by_side import channels_last, compare, random

pytestmark = pytest.mark.skipif(not kernels.available(), reason='there are no kernels')


def geometry(x=(2, 3, 32, 32), filters=64, kernel=(5, 5), pad=(2, 2), **other):
    size = (n + 2 * p - k + 1 for n, p, k in zip(x[2:], pad, kernel, strict=True))
    y = (x[0], filters, *size)
    rest = {'stride': (1, 1), 'dilate': (1, 1), 'groups': 1, **other}
    return convolution.Geometry(x, y, kernel, pad=pad, **rest)


@settings(max_examples=60)
@given(
    n=st.integers(1, 5),
    channels=st.integers(1, 4),
    filters=st.sampled_from([16, 32, 48, 64, 80]),
    size=st.tuples(st.integers(1, 20), st.integers(1, 70)),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    pad=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    bias=st.booleans(),
    special=st.sampled_from([None, None, np.nan, np.inf]),
    seed=st.integers(0, 1000),
)
def test_gradients(n, channels, filters, size, kernel, pad, bias, special, seed):
    if any(s + 2 * p < k for s, k, p in zip(size, kernel, pad, strict=True)):
        return
    assert first_layer.fits(geometry((n, channels, *size), filters, kernel, pad))
    rng = np.random.RandomState(seed)
    inputs = [random(rng, n, channels, *size), random(rng, filters, channels, *kernel)]
    if bias:
        inputs.append(random(rng, filters))
    if special is not None:
        inputs[0][tuple(rng.randint(m) for m in inputs[0].shape)] = special
    compare(lambda *xs: F.convolution_2d(*xs, pad=pad), inputs)


@pytest.mark.parametrize('special', [np.nan, np.inf])
@pytest.mark.parametrize('place', [(0, 5, 0, 0), (1, 31, 9, 4), (0, 0, 4, 8)])
def test_what_is_not_finite_spreads_as_in_chainer(special, place):
    """From a gradient of the output, also to the taps that met padding: zero times NaN is NaN."""
    rng = np.random.RandomState(0)
    x, gy = random(rng, 2, 3, 10, 9), random(rng, 2, 32, 10, 9)
    before = gradients(geometry(x.shape, 32), x, gy)
    gy[place] = special
    others = np.arange(32) != place[1]
    for usual, found in zip(before, gradients(geometry(x.shape, 32), x, gy), strict=True):
        assert not np.isfinite(found[place[1]]).any()
        np.testing.assert_array_equal(found[others], usual[others])


def gradients(g, x, gy):
    gw, gb = np.full(g.weight_shape, 9, np.float32), np.full(g.y[1], 9, np.float32)
    first_layer.backward_weights(g)(channels_last(x), channels_last(gy), gw, gb)
    return gw, gb


def test_its_errors_are_those_of_direct_convolution():
    """Sums of sums: a long float32 sum of 32,768 products would be ten times as far off."""
    g = geometry((32, 3, 32, 32), 16, (3, 3), (1, 1))
    rng = np.random.RandomState(0)
    x, gy = random(rng, *g.x), random(rng, *g.y)
    gw, gb = gradients(g, x, gy)
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    for i in range(3):
        for j in range(3):
            seen = padded[:, :, i : i + 32, j : j + 32]
            exact = np.einsum('nchw,nkhw->kc', seen, gy, optimize=True)
            assert np.abs(gw[:, :, i, j] - exact).max() < 1e-5 * np.sqrt(gy[:, 0].size)
    exact = gy.sum((0, 2, 3), dtype=np.float64)
    assert np.abs(gb - exact).max() < 1e-5 * np.sqrt(gy[:, 0].size)


def test_what_it_leaves_to_onednn():
    for g in (
        geometry((2, 5, 8, 8)),
        geometry(filters=24),
        geometry(kernel=(1, 8)),
        geometry(stride=(1, 2)),
        geometry(dilate=(2, 1)),
        geometry((2, 2, 8, 8), groups=2),
    ):
        assert not first_layer.fits(g)
    assert first_layer.fits(geometry())


@pytest.mark.skipif(
    kernels.available() and kernels.instruction_set() == 'avx2', reason='it is this'
)
def test_avx2():
    """The same tests with the narrower vectors, in a process of its own."""
    names = 'test_gradients or test_what_is_not_finite or test_its_errors'
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', __file__, '-k', names],
        env={**os.environ, 'ONEDNN_MAX_CPU_ISA': 'AVX2'},
        capture_output=True,
        text=True,
    )
    # Without a library for them all would be skipped, which is no failure to pytest.
    assert done.returncode == 0 and 'skipped' not in done.stdout, done.stdout
