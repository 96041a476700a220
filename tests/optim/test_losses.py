import chainer
import chainer.functions as F
import numpy as np
import pytest

from chainer_cifar.optim.losses import accuracy, balancing_weights, smoothed_cross_entropy

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


def test_shares_of_one_class_only_are_labels():
    shares = np.eye(4, dtype=np.float32)[LABELS]
    for smoothing in (0.0, 0.1):
        loss = smoothed_cross_entropy(smoothing)
        np.testing.assert_allclose(
            loss(LOGITS, shares).array, loss(LOGITS, LABELS).array, rtol=1e-6
        )


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 0.75])
def test_loss_and_gradient_of_mixed_images_are_those_of_both_labels(smoothing):
    loss = smoothed_cross_entropy(smoothing)
    other, share = LABELS[::-1], np.array([0.5, 0.9, 0.2, 1, 0, 0.3], np.float32)
    eye = np.eye(4, dtype=np.float32)
    shares = share[:, None] * eye[LABELS] + (1 - share[:, None]) * eye[other]
    x = chainer.Variable(LOGITS)
    mixed = loss(x, shares)
    mixed.backward()
    assert mixed.dtype == np.float32
    value, gradient = 0, 0
    for i in range(6):
        for labels, part in ((LABELS, share[i]), (other, 1 - share[i])):
            one = chainer.Variable(LOGITS[i : i + 1])
            each = loss(one, labels[i : i + 1])
            each.backward()
            value += part * each.array / 6
            gradient += part * np.eye(6, dtype=np.float32)[:, i : i + 1] * one.grad / 6
    np.testing.assert_allclose(mixed.array, value, rtol=1e-5)
    np.testing.assert_allclose(x.grad, gradient, atol=1e-6)


def test_accuracy_of_mixed_images_counts_the_larger_share():
    shares = np.array([[0.6, 0.4, 0, 0], [0.3, 0, 0.7, 0], [0, 0, 0, 1]], np.float32)
    logits = np.eye(4, dtype=np.float32)[[0, 0, 3]]
    assert accuracy(logits, shares).array == np.float32(2 / 3)
    labels = np.array([0, 2, 3], np.int32)
    assert accuracy(logits, labels).array == F.accuracy(logits, labels).array


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


@pytest.mark.parametrize('smoothing', [0.0, 0.1, 0.75])
def test_weights_of_classes_weigh_each_share_of_a_mixed_image(smoothing):
    weights = np.array([0.5, 2, 0, 3], np.float32)
    other, share = LABELS[::-1], np.array([[0.5, 0.9, 0.2, 1, 0, 0.3]], np.float32).T
    shares = share * ONE_HOT + (1 - share) * ONE_HOT[::-1]
    logits = chainer.Variable(LOGITS)
    loss = smoothed_cross_entropy(smoothing, weights)(logits, shares)
    loss.backward()
    assert loss.dtype == logits.grad.dtype == np.float32
    wide = LOGITS.astype(np.float64)
    logp = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    value, gradient = 0, 0
    for labels, part in ((LABELS, share), (other, 1 - share)):
        own = part * weights[labels][:, None]
        target = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
        value -= (own * target * logp).sum() / 6
        gradient += own * (np.exp(logp) - target) / 6
    np.testing.assert_allclose(loss.array, value, rtol=1e-6)
    np.testing.assert_allclose(logits.grad, gradient, atol=1e-7)


@pytest.mark.parametrize('mixed', [False, True])
def test_balanced_classes_have_equal_parts_of_the_loss(mixed):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [900, 100])
    weights = balancing_weights(labels, 2)
    shares = np.eye(2, dtype=np.float32)[labels]
    if mixed:
        share = rng.random((1000, 1), np.float32)
        shares = share * shares + (1 - share) * shares[rng.permutation(1000)]
    logits = chainer.Variable(np.zeros((1000, 2), np.float32))
    smoothed_cross_entropy(0.0, weights)(logits, shares).backward()
    # Of a net that knows nothing: what draws to one class is what draws to the other.
    np.testing.assert_allclose(logits.grad.sum(axis=0), 0, atol=0.03)


def test_balancing_weights():
    labels = np.array([0] * 6 + [1] * 3 + [3] * 1)
    weights = balancing_weights(labels, 4)
    np.testing.assert_allclose(weights, [10 / 18, 10 / 9, 0, 10 / 3], rtol=1e-6)
    assert weights.dtype == np.float32 and weights[labels].mean() == pytest.approx(1)


@pytest.mark.parametrize('smoothing', [0.0, 0.3])
def test_shares_of_classes(smoothing):
    shares = np.random.default_rng(1).dirichlet(np.ones(4), 6).astype(np.float32)
    logp = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))
    target = (1 - smoothing) * shares + smoothing / 4
    loss = smoothed_cross_entropy(smoothing)(LOGITS, shares)
    np.testing.assert_allclose(loss.array, -(target * logp).sum(1).mean(), rtol=1e-6)
