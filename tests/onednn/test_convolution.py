import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainer_onednn
from chainer_onednn import convolution, dnnl
from side_by_side import ORDERS, compare, random, run

sizes = st.integers(1, 9)


@settings(max_examples=60)
@given(
    n=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    groups=st.integers(1, 3),
    size=st.tuples(sizes, sizes),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilate=st.integers(1, 2),
    bias=st.booleans(),
    order=st.sampled_from(sorted(ORDERS)),
    seed=st.integers(0, 1000),
)
def test_convolution(n, channels, groups, size, kernel, stride, pad, dilate, bias, order, seed):
    if any(s + 2 * p < dilate * (k - 1) + 1 for s, k, p in zip(size, kernel, pad, strict=True)):
        return  # no output; see test_errors_are_chainers
    rng = np.random.RandomState(seed)
    inward, outward = channels[0] * groups, channels[1] * groups
    inputs = [random(rng, n, inward, *size), random(rng, outward, channels[0], *kernel)]
    if bias:
        inputs.append(random(rng, outward))
    compare(
        lambda *xs: F.convolution_2d(*xs, stride=stride, pad=pad, dilate=dilate, groups=groups),
        inputs,
        order=order,
    )


@settings(max_examples=40)
@given(
    channels=st.sampled_from([2, 16, 19]),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    dilate=st.integers(1, 2),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_depthwise_convolution(channels, size, kernel, stride, pad, dilate, bias, seed):
    if any(s + 2 * p < dilate * (k - 1) + 1 for s, k, p in zip(size, kernel, pad, strict=True)):
        return
    rng = np.random.RandomState(seed)
    inputs = [random(rng, 3, channels, *size), random(rng, channels, 1, *kernel)]
    if bias:
        inputs.append(random(rng, channels))
    options = {'stride': stride, 'pad': pad, 'dilate': dilate, 'groups': channels}
    compare(lambda *xs: F.convolution_2d(*xs, **options), inputs, order='channels last')


def test_gradients_of_depthwise_filters_are_as_exact_in_large_batches(engine):
    rng = np.random.RandomState(0)
    x, gy = random(rng, 1024, 2, 7, 7) + 1, random(rng, 1024, 2, 7, 7) + 1
    w, b = chainer.Parameter(np.ones((2, 1, 7, 7), 'f')), chainer.Parameter(np.zeros(2, 'f'))
    y = F.convolution_2d(x, w, b, pad=3, groups=2)
    y.grad = gy
    y.backward()
    x, gy = x.astype(np.float64), gy.astype(np.float64)
    np.testing.assert_allclose(w.grad[:, 0, 3, 3], (x * gy).sum(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(b.grad, gy.sum(axis=(0, 2, 3)), rtol=1e-6)


@settings(max_examples=40)
@given(
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    groups=st.integers(1, 2),
    size=st.tuples(sizes, sizes),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    pad=st.integers(0, 1),
    more=st.integers(0, 2),
    bias=st.booleans(),
    order=st.sampled_from(sorted(ORDERS)),
    seed=st.integers(0, 1000),
)
def test_deconvolution(channels, groups, size, kernel, stride, pad, more, bias, order, seed):
    rng = np.random.RandomState(seed)
    inward, outward = channels[0] * groups, channels[1] * groups
    # Several sizes of the image fit one of the output, where windows do not reach the edge.
    out = tuple(stride * (s - 1) + kernel - 2 * pad + min(more, stride - 1) for s in size)
    if min(out) < 1:
        return
    inputs = [random(rng, 2, inward, *size), random(rng, inward, channels[1], kernel, kernel)]
    if bias:
        inputs.append(random(rng, outward))
    compare(
        lambda *xs: F.deconvolution_2d(*xs, stride=stride, pad=pad, outsize=out, groups=groups),
        inputs,
        order=order,
        least=1,  # a bias' gradient may be near 0, as the sum of many that are not
    )


@pytest.mark.parametrize('stride', [(2, 2), (2, 1), (3, 2)])
@pytest.mark.parametrize('channels', [1, 2, 3, 5, 6, 7, 12, 20])
def test_filters_of_one_pixel_whose_steps_end_before_the_edge(channels, stride):
    """oneDNN 3.2 has wrong gradients of the weights for few channels, on a processor with AVX2."""
    rng = np.random.RandomState(channels)
    w, b = random(rng, 8, channels, 1, 1), random(rng, 8)
    for size, pad, bias in ((10, 0, []), (16, 0, []), (16, 0, [b]), (9, 1, [b]), (17, 0, [])):
        x = random(rng, 2, channels, size, size)
        for _ in range(4):  # the wrong ones came from what earlier calls left in memory
            compare(
                lambda *xs, pad=pad: F.convolution_2d(*xs, stride=stride, pad=pad), [x, w, *bias]
            )


@pytest.mark.parametrize('cover_all', [False, True])
def test_cover_all(cover_all):
    rng = np.random.RandomState(0)
    compare(
        lambda x, w: F.convolution_2d(x, w, stride=3, pad=1, cover_all=cover_all),
        [random(rng, 2, 16, 9, 9), random(rng, 16, 16, 2, 2)],
    )


def test_the_common_shapes_are_done_by_onednn(engine, monkeypatch):
    """Not by falling back: Chainer's own im2col may not be called."""
    monkeypatch.setattr(
        chainer.utils.conv, 'im2col_cpu', lambda *args, **kwargs: pytest.fail('Chainer was used')
    )
    for inward, outward, size, kernel in ((3, 64, 32, 5), (16, 16, 32, 3), (64, 128, 16, 1)):
        link = L.Convolution2D(inward, outward, kernel, pad=kernel // 2)
        x = chainer.Variable(random(np.random.RandomState(0), 4, inward, size, size))
        y = link(x)
        y.grad = np.ones_like(y.array)
        y.backward()
        assert x.grad.shape == x.shape and link.W.grad is not None and link.b.grad is not None
        assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous


def test_the_first_layer_needs_no_gradient_of_its_input(engine, monkeypatch):
    monkeypatch.setattr(convolution, '_backward_data', lambda *args: pytest.fail('it was computed'))
    link = L.Convolution2D(3, 8, 3)
    F.sum(link(random(np.random.RandomState(0), 2, 3, 8, 8))).backward()
    assert link.W.grad is not None


def test_double_backward():
    rng = np.random.RandomState(0)
    arrays = [random(rng, 2, 4, 6, 6), random(rng, 5, 4, 3, 3), random(rng, 5)]

    def gradient_of_gradient(dtype):
        x, w, b = (chainer.Variable(array.astype(dtype)) for array in arrays)
        y = F.convolution_2d(x, w, b, pad=1)
        gx, gw = chainer.grad([F.sum(y**2)], [x, w], enable_double_backprop=True)
        F.sum(gx**2 + F.sum(gw**2)).backward()
        return x.grad, w.grad

    with chainer_onednn.enable():
        got = gradient_of_gradient(np.float32)
    for ours, wanted in zip(got, gradient_of_gradient(np.float64), strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize('dtype', [np.float16, np.float64])
def test_other_dtypes_are_chainers(engine, dtype):
    rng = np.random.RandomState(0)
    inputs = [random(rng, 2, 3, 5, 5), random(rng, 4, 3, 3, 3), random(rng, 4)]
    got = run(F.convolution_2d, inputs, dtype=dtype)
    chainer_onednn.disable()
    for ours, wanted in zip(got, run(F.convolution_2d, inputs, dtype=dtype), strict=True):
        np.testing.assert_array_equal(ours, wanted)


def test_not_a_number_spreads_alike(monkeypatch):
    monkeypatch.setenv('CHAINER_ONEDNN_WINOGRAD', '0')  # for that, see test_winograd
    rng = np.random.RandomState(0)
    x, w = random(rng, 2, 16, 8, 8), random(rng, 16, 16, 3, 3)
    x[0, 3, 2, 2], x[1, 0, 7, 7] = np.nan, np.inf
    with np.errstate(invalid='ignore'):
        wanted = run(lambda *xs: F.convolution_2d(*xs, pad=1), [x, w])
    with chainer_onednn.enable():
        got = run(lambda *xs: F.convolution_2d(*xs, pad=1), [x, w])
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))


@pytest.mark.parametrize(
    ('x_shape', 'w_shape', 'kwargs'),
    [
        ((2, 3, 4, 4), (5, 4, 3, 3), {}),
        ((2, 3, 4), (5, 3, 3, 3), {}),
        ((2, 3, 2, 2), (5, 3, 3, 3), {}),
        ((2, 3, 4, 4), (5, 3, 3, 3), {'dilate': 0}),
    ],
)
def test_errors_are_chainers(x_shape, w_shape, kwargs):
    def error():
        with pytest.raises(Exception) as caught:
            F.convolution_2d(np.zeros(x_shape, 'f'), np.zeros(w_shape, 'f'), **kwargs)
        return caught.type, str(caught.value)

    wanted = error()
    with chainer_onednn.enable():
        assert error() == wanted


def test_no_images():
    for shape in ((0, 3, 4, 4),):
        wanted = F.convolution_2d(np.zeros(shape, 'f'), np.ones((5, 3, 3, 3), 'f')).shape
        with chainer_onednn.enable():
            assert (
                F.convolution_2d(np.zeros(shape, 'f'), np.ones((5, 3, 3, 3), 'f')).shape == wanted
            )


def test_reference_loops_are_refused(monkeypatch):
    monkeypatch.setattr(dnnl.Primitive, 'implementation', 'ref:any')
    with pytest.raises(dnnl.Unsupported):
        convolution._compiled(dnnl.reorder(dnnl.Layout((9,), (1,)), dnnl.Layout((9,), (2,))))
