import chainer
import numpy as np
import pytest

from chainer_cifar.nets.residual_parts import add, doubling, is_skipped, shortcut, three_stages


@pytest.mark.parametrize('depth', [1, 2, 18])
def test_stages_and_strides(depth):
    before, after, strides, ratios = zip(*three_stages(8, doubling(4, depth)), strict=True)
    assert after == (4,) * depth + (8,) * depth + (16,) * depth
    assert before == (8, *after[:-1])
    assert strides.count(2) == 2 and strides[depth] == strides[2 * depth] == 2
    assert set(ratios) == {0.0}


def test_skip_ratios_rise_past_the_blocks_of_stride_2():
    ratios = [block[-1] for block in three_stages(16, doubling(16, 2), skip_depth=True)]
    np.testing.assert_allclose(ratios, [0, 1 / 6, 0, 1 / 3, 0, 1 / 2])


@pytest.mark.parametrize('zeros_first', [True, False])
def test_shortcut_of_a_stride_2_block(zeros_first):
    x = np.random.RandomState(0).randn(2, 16, 8, 8).astype(np.float32)
    past = shortcut(chainer.Variable(x), 2, 4, zeros_first).array
    assert past.shape == (2, 20, 4, 4) and past.dtype == np.float32
    zeros, kept = (past[:, :4], past[:, 4:]) if zeros_first else (past[:, 16:], past[:, :16])
    assert (zeros == 0).all()
    np.testing.assert_array_equal(kept, x[:, :, ::2, ::2])


def test_shortcut_of_other_blocks_is_their_input():
    x = chainer.Variable(np.zeros((1, 2, 4, 4), np.float32))
    assert shortcut(x, 1, 0) is x


def test_a_block_that_always_stays_draws_nothing():
    np.random.seed(0)
    assert not is_skipped(0.0)
    with chainer.using_config('train', False):
        assert not is_skipped(1.0)
    drawn = np.random.rand()
    np.random.seed(0)
    assert np.random.rand() == drawn


def test_add_weighs_the_residual_at_test_time_only():
    ones = chainer.Variable(np.ones((1, 2), np.float32))
    assert (add(ones, ones, 0.25).array == 2).all()
    with chainer.using_config('train', False):
        h = add(ones, ones, 0.25, swapout=True)
    assert (h.array == 1.75).all() and h.dtype == np.float32


def test_swapout_drops_each_way_apart():
    ones = chainer.Variable(np.ones((100, 100), np.float32))
    np.random.seed(0)
    values, counts = np.unique(add(ones, 10 * ones, swapout=True).array, return_counts=True)
    assert values.tolist() == [0, 2, 20, 22]
    np.testing.assert_allclose(counts / 10000, 0.25, atol=0.02)
