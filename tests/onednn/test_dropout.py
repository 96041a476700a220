import chainer
import chainer.functions as F
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainer_onednn
from chainer_onednn import dropout
from side_by_side import ORDERS, random

WORDS = 624  # after so many, the Mersenne Twister makes its next state


def by_both(x, ratio, prepare=lambda: np.random.seed(3)):
    """Output, mask and gradient from Chainer and from us; and NumPy's state afterwards."""

    def outputs():
        prepare()
        variable = chainer.Variable(x)
        y, mask = F.dropout(variable, ratio, return_mask=True)
        _, key, *rest = np.random.get_state()
        y.grad = x
        y.backward()
        return [y.array, mask, variable.grad, key, np.array(rest)]

    wanted = outputs()
    with chainer_onednn.enable():
        got = outputs()
    for ours, theirs in zip(got, wanted, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    return got


SIZES = st.integers(1, 40)


@settings(max_examples=60)
@given(
    shape=st.one_of(
        st.tuples(st.integers(1, 5), SIZES, st.integers(1, 9), st.integers(1, 9)),
        st.tuples(st.integers(1, 5), st.integers(1, 2000)),
        st.tuples(st.integers(1, 9), SIZES, SIZES),
    ),
    ratio=st.floats(0, 1, exclude_max=True),
    drawn=st.integers(0, 2 * WORDS),
    order=st.sampled_from(sorted(ORDERS)),
)
def test_numbers_and_state_are_numpys(shape, ratio, drawn, order):
    """Wherever in NumPy's state the draw begins and ends, in whichever order the image lies."""

    def prepare():
        np.random.seed(4)
        np.random.randn(1)  # leaves its twin for the next call: a part of the state, too
        np.random.bytes(4 * drawn)  # so many words

    by_both(ORDERS[order](random(np.random.RandomState(0), *shape)), ratio, prepare)


@pytest.mark.parametrize('count', [*range(309, 315), *range(621, 628), 10000, 70001])
@pytest.mark.parametrize('drawn', [0, 1, 623, 624])
def test_around_the_ends_of_a_state(count, drawn):
    def prepare():
        np.random.seed(5)
        np.random.bytes(4 * drawn)

    by_both(random(np.random.RandomState(0), count), 0.5, prepare)


@pytest.mark.parametrize('shape', [(128, 512), (16, 64, 16, 16), (3, 5, 70, 70)])
def test_on_all_threads(shape):
    *_, mask, _, _, _ = by_both(random(np.random.RandomState(0), *shape), 0.25)
    assert 0.7 < np.count_nonzero(mask) / mask.size < 0.8


@pytest.mark.parametrize('towards', [0, None, 1])
def test_a_number_that_is_the_ratio(towards):
    """The comparison is exact: at a number that is drawn, and at both its neighbours."""
    x = random(np.random.RandomState(0), 500)
    for ratio in np.random.RandomState(3).rand(500)[::25]:
        near = ratio if towards is None else np.nextafter(ratio, towards)
        by_both(x, near)
        by_both(x, float(near))


def test_no_number_is_rounded():
    for ratio in (0.0, 5e-324, 2.0**-53, 1.5 * 2.0**-53, 0.1, 1 - 2.0**-53, np.float32(0.3)):
        by_both(random(np.random.RandomState(0), 400), ratio)


def test_infinity_is_not_dropped_to_zero():
    x = np.full((4, 16, 3, 3), np.inf, np.float32)
    x[1] = np.nan
    with np.errstate(invalid='ignore'):
        y, *_ = by_both(x, 0.5)
    assert np.isnan(y).any() and np.isinf(y).any()


def test_a_mask_of_the_callers(engine):
    x = random(np.random.RandomState(0), 4, 5)
    y, mask = F.dropout(x, 0.5, return_mask=True)
    np.testing.assert_array_equal(F.dropout(x, mask=mask).array, y.array)


@pytest.mark.skipif(
    not hasattr(np.random, 'set_bit_generator'), reason='this NumPy has one generator'
)
def test_another_generator():
    before = np.random.get_bit_generator()

    def state():
        return np.random.get_bit_generator().state['state']

    def outputs(x):
        np.random.set_bit_generator(np.random.PCG64(3))
        return F.dropout(x).array, state()

    try:
        x = random(np.random.RandomState(0), 100)
        wanted, state_then = outputs(x)
        with chainer_onednn.enable():
            got, state_now = outputs(x)
        np.testing.assert_array_equal(got, wanted)
        assert state_now == state_then
        # One that our kernel knows, but that is not the one that NumPy began with.
        by_both(x, 0.5, lambda: np.random.set_bit_generator(np.random.MT19937(9)))
    finally:
        np.random.set_bit_generator(before)


def test_another_function(engine, monkeypatch):
    monkeypatch.setattr(np.random, 'rand', lambda *shape: np.full(shape, 0.75))
    assert (F.dropout(np.ones(10, np.float32), 0.75).array == 4).all()


def test_an_unknown_state(engine, monkeypatch):
    """A NumPy that keeps it in another way: its own numbers are drawn, by itself."""
    x = random(np.random.RandomState(0), 2, 16, 8, 8)
    np.random.seed(1)
    wanted = F.dropout(x).array
    monkeypatch.setattr(dropout, '_state_is_known', lambda: False)
    np.random.seed(1)
    np.testing.assert_array_equal(F.dropout(x).array, wanted)


def test_the_state_is_known_to_this_numpy():
    assert dropout._state_is_known()
