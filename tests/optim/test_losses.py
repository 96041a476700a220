import chainer
import chainer.functions as F
import numpy as np
import pytest

from chainer_cifar.optim.losses import accuracy, smoothed_cross_entropy

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
