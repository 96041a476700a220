"""ReLU, Add, Concat, Linear: the smaller functions."""

import chainer
import chainer.functions as F
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainer_onednn
from chainer_onednn import elementwise, threads
from side_by_side import ORDERS, channels_last, compare, random, run

shapes = st.one_of(
    st.tuples(st.integers(1, 400)),
    st.tuples(st.integers(1, 9), st.integers(1, 300)),
    st.tuples(st.integers(1, 3), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9)),
)


@settings(max_examples=30)
@given(shape=shapes, order=st.sampled_from(sorted(ORDERS)), seed=st.integers(0, 1000))
def test_relu(shape, order, seed):
    compare(F.relu, [random(np.random.RandomState(seed), *shape)], order=order)


def test_relu_of_more_than_a_block(engine):
    x = random(np.random.RandomState(0), elementwise.BLOCK + 77)
    y, gx = run(F.relu, [x])
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    assert (gx[x < 0] == 0).all() and (gx[x > 0] != 0).all()


@settings(max_examples=30)
@given(shape=shapes, order=st.sampled_from(sorted(ORDERS)), seed=st.integers(0, 1000))
def test_clipped_relu(shape, order, seed):
    x = random(np.random.RandomState(seed), *shape)
    compare(lambda x: F.clipped_relu(x, 0.7), [x], order=order)


def test_clipped_relu_of_more_than_a_block(engine):
    x = random(np.random.RandomState(0), threads.BLOCK + 77)
    y, gx = run(lambda x: F.clipped_relu(x, 0.7), [x])
    np.testing.assert_array_equal(y, np.clip(x, 0, np.float32(0.7)))
    inside = (x > 0) & (x < 0.7)
    assert (gx[~inside] == 0).all() and (gx[inside] != 0).all()


def assert_keeps_what_is_not_a_number(function):
    x = np.array([np.nan, 1, -1, np.inf, -np.inf, 0] * 50, 'f')
    gy = np.array([1, np.nan, np.nan, np.inf, np.inf, 2] * 50, 'f')

    def outputs():
        variable = chainer.Variable(x)
        y = function(variable)
        y.grad = gy
        y.backward()
        return y.array, variable.grad

    with np.errstate(invalid='ignore'):
        wanted = outputs()
        with chainer_onednn.enable():
            got = outputs()
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize('function', [F.relu, F.relu6])
def test_relu_keeps_what_is_not_a_number(function):
    assert_keeps_what_is_not_a_number(function)


@pytest.mark.parametrize('orders', [('C', 'C'), ('channels last', 'C'), ('backwards', 'Fortran')])
@pytest.mark.parametrize('count', [2, 3])
def test_add(orders, count):
    rng = np.random.RandomState(0)
    arrays = [ORDERS[order](random(rng, 4, 16, 20, 20)) for order in orders]
    arrays += [random(rng, 4, 16, 20, 20)] * (count - 2)
    compare(lambda *xs: F.add(*xs), arrays)


def test_add_broadcasts():
    rng = np.random.RandomState(0)
    compare(lambda a, b: a + b, [random(rng, 4, 16, 20, 20), random(rng, 1, 16, 1, 1)])


def test_a_variable_used_twice():
    compare(lambda x: F.relu(x) + F.tanh(x) + x, [random(np.random.RandomState(0), 4, 16, 20, 20)])


@settings(max_examples=20)
@given(
    channels=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    axis=st.sampled_from([1, 0, 2, -3]),
    order=st.sampled_from(sorted(ORDERS)),
)
def test_concat(channels, axis, order):
    rng = np.random.RandomState(0)
    if axis in (1, -3):
        arrays = [random(rng, 2, c, 5, 4) for c in channels]
    else:
        arrays = [random(rng, 2, 3, 5, 4) for _ in channels]
    compare(lambda *xs: F.concat(xs, axis=axis), arrays, order=order)


@settings(max_examples=20)
@given(
    width=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=4, max_size=4),
    order=st.sampled_from(sorted(ORDERS)),
)
def test_pad(width, order):
    x = random(np.random.RandomState(0), 4, 16, 17, 16)
    compare(lambda x: F.pad(x, width, 'constant'), [x], order=order)


@pytest.mark.parametrize(
    ('width', 'mode', 'options'),
    [
        (1, 'constant', {}),
        ((1, 2), 'constant', {}),
        (((0, 0), (1, 1), (0, 0), (2, 0)), 'constant', {'constant_values': 3}),
        (((0, 0), (1, 1), (0, 0), (2, 0)), 'edge', {}),
        (((0, 0), (1, 1), (0, 0), (2, 0)), 'reflect', {}),
    ],
)
def test_other_paddings_are_chainers(width, mode, options):
    x = random(np.random.RandomState(0), 4, 16, 17, 16)
    compare(lambda x: F.pad(x, width, mode, **options), [x])


@settings(max_examples=30)
@given(
    sizes=st.tuples(st.integers(1, 30), st.integers(1, 60), st.integers(1, 60)),
    bias=st.booleans(),
    order=st.sampled_from(sorted(ORDERS)),
)
def test_linear(sizes, bias, order):
    rng = np.random.RandomState(0)
    n, inward, outward = sizes
    arrays = [random(rng, n, inward), random(rng, outward, inward)]
    arrays += [random(rng, outward)] if bias else []
    compare(F.linear, arrays, order=order)


def test_linear_of_an_image():
    rng = np.random.RandomState(0)
    x, w = channels_last(random(rng, 8, 64, 8, 8)), random(rng, 10, 4096)
    compare(F.linear, [x, w])


def test_a_sum_of_one_is_the_users_own_array(engine):
    x = np.ones((2, 3), 'f')
    y = F.relu(F.add(chainer.Variable(x)))
    x[...] = 7
    assert (y.array == 1).all()


def test_sums_know_who_needs_gradients(engine):
    x = chainer.Variable(random(np.random.RandomState(0), 200, 200), requires_grad=False)
    with chainer.no_backprop_mode():
        assert not (x + x).requires_grad
        assert not F.add(x, x, x).requires_grad
        assert (x + chainer.Variable(x.array)).requires_grad


def test_gradients_of_another_shape_are_chainers():
    """`chainer.grad` takes any ``grad_outputs``."""

    def gradients():
        x = chainer.Variable(random(np.random.RandomState(0), 4, 3))
        g = chainer.Variable(np.ones((1, 3), 'f'))
        (relu,) = chainer.grad([F.relu(x)], [x], [g])
        x = chainer.Variable(random(np.random.RandomState(0), 2, 3, 4, 4))
        w = chainer.Variable(random(np.random.RandomState(1), 2, 3, 3, 3))
        g = chainer.Variable(np.ones((2, 5, 2, 2), 'f'))
        (convolution,) = chainer.grad([F.convolution_2d(x, w)], [w], [g])
        return relu.array, convolution.array

    wanted = gradients()
    with chainer_onednn.enable():
        got = gradients()
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize(
    ('function', 'shapes'),
    [
        (F.linear, [(2, 3), (4, 5)]),
        (F.linear, [(2, 3), (4, 3), (5,)]),
        (F.convolution_2d, [(2, 5, 4, 4), (3, 4, 3, 3)]),
        (F.deconvolution_2d, [(2, 5, 4, 4), (3, 4, 3, 3)]),
        (F.batch_normalization, [(4, 5, 2, 2), (3,), (3,)]),
    ],
)
def test_without_chainers_type_check(function, shapes):
    """CHAINER_TYPE_CHECK=0 leaves the checking to NumPy, and must not lead to stray memory."""
    inputs = [np.ones(shape, 'f') for shape in shapes]

    def kind_of_error():
        with chainer.using_config('type_check', False), pytest.raises(Exception) as caught:
            function(*inputs)
        return caught.type

    wanted = kind_of_error()
    with chainer_onednn.enable():
        assert kind_of_error() is wanted


def test_static_graph(engine):
    class Net(chainer.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.l = chainer.links.Linear(3, 2)

        @chainer.static_graph
        def forward(self, x):
            return self.l(x)

    net = Net()
    x = random(np.random.RandomState(0), 4, 3)
    for _ in range(3):
        y = net(x)
        net.cleargrads()
        F.sum(y).backward()
        np.testing.assert_allclose(y.array, x @ net.l.W.array.T, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(net.l.W.grad, np.tile(x.sum(axis=0), (2, 1)), rtol=1e-4)
