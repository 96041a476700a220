import chainer
import chainer.functions as F
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainer_onednn
from side_by_side import ORDERS, compare, random, run

windows = st.fixed_dictionaries(
    {
        'ksize': st.tuples(st.integers(1, 4), st.integers(1, 4)),
        'stride': st.tuples(st.integers(1, 4), st.integers(1, 4)),
        'pad': st.integers(0, 1),
    }
)


def too_small(size, window):
    return any(s + 2 * window['pad'] < k for s, k in zip(size, window['ksize'], strict=True)) or (
        window['pad'] >= min(window['ksize'])
    )


@settings(max_examples=50)
@given(
    channels=st.integers(1, 20),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    window=windows,
    cover_all=st.booleans(),
    order=st.sampled_from(sorted(ORDERS)),
    seed=st.integers(0, 1000),
)
def test_max(channels, size, window, cover_all, order, seed):
    if too_small(size, window):
        return
    x = random(np.random.RandomState(seed), 2, channels, *size)
    compare(lambda x: F.max_pooling_2d(x, cover_all=cover_all, **window), [x], order=order)


@settings(max_examples=50)
@given(
    channels=st.integers(1, 20),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    window=windows,
    order=st.sampled_from(sorted(ORDERS)),
    seed=st.integers(0, 1000),
)
def test_average(channels, size, window, order, seed):
    if too_small(size, window):
        return
    x = random(np.random.RandomState(seed), 2, channels, *size)
    compare(lambda x: F.average_pooling_2d(x, **window), [x], order=order)


def test_equal_values_send_the_gradient_to_the_first(engine):
    x = np.zeros((1, 16, 4, 4), 'f')
    got = run(lambda x: F.max_pooling_2d(x, 2), [x])
    chainer_onednn.disable()
    wanted = run(lambda x: F.max_pooling_2d(x, 2), [x])
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_not_a_number_spreads_alike(bad):
    x = random(np.random.RandomState(0), 2, 16, 6, 6)
    x[0, 3] = bad
    x[1, 0, 0, 0] = bad
    for function in (lambda x: F.max_pooling_2d(x, 2), lambda x: F.average_pooling_2d(x, 2)):
        wanted = run(function, [x])
        with chainer_onednn.enable():
            got = run(function, [x])
        for ours, theirs in zip(got, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_indices_are_chainers():
    x = random(np.random.RandomState(0), 2, 3, 5, 5)
    wanted = F.max_pooling_2d(x, 3, 2, return_indices=True)
    with chainer_onednn.enable():
        got = F.max_pooling_2d(x, 3, 2, return_indices=True)
    np.testing.assert_array_equal(got[0].array, wanted[0].array)
    np.testing.assert_array_equal(got[1], wanted[1])


def test_double_backward():
    array = random(np.random.RandomState(0), 2, 3, 6, 6)

    def second(dtype):
        x = chainer.Variable(array.astype(dtype))
        y = F.max_pooling_2d(x**2, 2) + F.average_pooling_2d(x**3, 2)
        (gx,) = chainer.grad([F.sum(y**2)], [x], enable_double_backprop=True)
        F.sum(gx**2).backward()
        return x.grad

    with chainer_onednn.enable():
        got = second(np.float32)
    wanted = second(np.float64)
    np.testing.assert_allclose(got, wanted, atol=1e-4 * np.abs(wanted).max())


def test_no_output_is_chainers_error():
    def error():
        with pytest.raises(Exception) as caught:
            F.max_pooling_2d(np.zeros((1, 3, 2, 2), 'f'), 5, cover_all=False)
        return caught.type, str(caught.value)

    wanted = error()
    with chainer_onednn.enable():
        assert error() == wanted


@pytest.mark.parametrize(('ksize', 'stride', 'pad'), [(1, 2, 0), (3, 1, 3), (2, 3, 1)])
def test_windows_of_nothing_but_padding(ksize, stride, pad):
    x = random(np.random.RandomState(0), 1, 4, 4, 4)
    compare(lambda x: F.max_pooling_2d(x, ksize, stride, pad), [x])


def test_a_pooled_array_that_is_changed(engine):
    x = chainer.Variable(random(np.random.RandomState(0), 2, 16, 6, 6))
    y = F.max_pooling_2d(F.relu(x), 2)
    y.array *= 0  # not retained by anything, so it is the caller's
    F.sum(y).backward()
    assert x.grad.sum() > 0


@pytest.mark.parametrize('held', [False, True])
@pytest.mark.parametrize('used_twice', [False, True])
def test_gradient_through_relu_and_pooling(held, used_twice):
    x0 = random(np.random.RandomState(0), 2, 16, 6, 6) - 1  # some windows are negative altogether

    def gradients():
        x = chainer.Variable(x0)
        h = F.relu(x * 1)
        y = F.max_pooling_2d(h, 2)
        if used_twice:
            y += 2 * F.average_pooling_2d(h, 2)
        if not held:
            del h
        y.grad = random(np.random.RandomState(1), *y.shape)
        y.backward(retain_grad=True)
        return x.grad, h.grad if held else None

    wanted = gradients()
    with chainer_onednn.enable():
        got = gradients()
    for ours, theirs in zip(got, wanted, strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-6)
