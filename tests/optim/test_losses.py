import chainer.functions as F
import numpy as np
import pytest

from chainer_cifar.optim.losses import smoothed_cross_entropy

LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1, 1, 2, 0], np.int32)


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 0.75])
def test_is_the_mixture_written_out(smoothing):
    logp = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    expected = -(1 - smoothing) * logp[np.arange(6), LABELS] - smoothing * logp.mean(axis=1)
    loss = smoothed_cross_entropy(smoothing)(LOGITS, LABELS)
    assert loss.dtype == np.float32 and loss.shape == ()
    np.testing.assert_allclose(loss.array, expected.mean(), rtol=1e-6)


def test_none_is_chainers():
    assert smoothed_cross_entropy(0.0) is F.softmax_cross_entropy
