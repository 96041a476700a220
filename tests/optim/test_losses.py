import chainer
import chainer.functions as F
import numpy as np
import pytest

from chainer_cifar.optim.losses import balancing_weights, smoothed_cross_entropy

LOGITS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1, 1, 2, 0], np.int32)
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 0.75])
def test_is_the_mixture_written_out(smoothing):
    logp = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    expected = -(1 - smoothing) * logp[np.arange(6), LABELS] - smoothing * logp.mean(axis=1)
    loss = smoothed_cross_entropy(smoothing)(LOGITS, LABELS)
    assert loss.dtype == np.float32 and loss.shape == ()
    np.testing.assert_allclose(loss.array, expected.mean(), rtol=1e-6)


def test_none_is_chainers():
    assert smoothed_cross_entropy(0.0) is F.softmax_cross_entropy


@pytest.mark.parametrize('smoothing', [0.0, 0.2])
@pytest.mark.parametrize('hard', [True, False])
def test_weights_of_classes(smoothing, hard):
    weights = np.array([0.5, 2, 0, 3], np.float32)
    logits = chainer.Variable(LOGITS)
    loss = smoothed_cross_entropy(smoothing, weights)(logits, LABELS if hard else ONE_HOT)
    loss.backward()
    logp = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    target = (1 - smoothing) * np.eye(4)[LABELS] + smoothing / 4
    own = weights[LABELS][:, None]
    np.testing.assert_allclose(loss.array, -(own * target * logp).sum() / 6, rtol=1e-6)
    np.testing.assert_allclose(logits.grad, own * (np.exp(logp) - target) / 6, atol=1e-6)


def test_balancing_weights():
    labels = np.array([0] * 6 + [1] * 3 + [3] * 1)
    weights = balancing_weights(labels, 4)
    np.testing.assert_allclose(weights, [10 / 18, 10 / 9, 0, 10 / 3], rtol=1e-6)
    assert weights.dtype == np.float32 and weights[labels].mean() == pytest.approx(1)


@pytest.mark.parametrize('smoothing', [0.0, 0.3])
def test_shares_of_classes(smoothing):
    shares = np.random.default_rng(1).dirichlet(np.ones(4), 6).astype(np.float32)
    logp = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    weights = np.array([1, 2, 3, 4], np.float32)
    target = (1 - smoothing) * shares + smoothing / 4
    for given, own in ((None, 1), (weights, shares @ weights)):
        loss = smoothed_cross_entropy(smoothing, given)(LOGITS, shares)
        np.testing.assert_allclose(loss.array, -(own * (target * logp).sum(1)).mean(), rtol=1e-6)
