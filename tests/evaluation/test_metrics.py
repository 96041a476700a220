import chainer
import numpy as np
import pytest

from chainer_cifar.evaluation.metrics import among_top_5, loss_and_errors


class Identity(chainer.Chain):
    """Its input is its logits; sees to it that it runs in test mode."""

    def forward(self, x):
        assert not chainer.config.train and not chainer.config.enable_backprop
        return chainer.Variable(x)


def test_every_image_counts_alike_whatever_the_batches():
    rng = np.random.RandomState(0)
    logits = rng.randn(10, 4).astype(np.float32)
    t = rng.randint(4, size=10).astype(np.int32)
    log_p = logits - np.log(np.exp(logits.astype(np.float64)).sum(axis=1, keepdims=True))
    expected_loss = -log_p[np.arange(10), t].mean()
    expected_error = 100 * (logits.argmax(axis=1) != t).mean()
    seen = []
    for size in (1, 3, 10):
        parts = [(logits[i : i + size], t[i : i + size]) for i in range(0, 10, size)]
        found = loss_and_errors(Identity(), parts, seen.append)
        assert found == {
            'loss': pytest.approx(expected_loss, rel=1e-6),
            'error': pytest.approx(expected_error),
        }
    assert sum(seen) == 30


def test_top_5_error_of_ten_classes():
    rng = np.random.RandomState(0)
    logits = rng.randn(30, 10).astype(np.float32)
    t = rng.randint(10, size=30).astype(np.int32)
    wrong = [t[i] not in np.argsort(-logits[i])[:5] for i in range(30)]
    found = loss_and_errors(Identity(), [(logits[:20], t[:20]), (logits[20:], t[20:])])
    assert found['top5_error'] == pytest.approx(100 * np.mean(wrong)) and 0 < sum(wrong) < 30


def test_ties_and_nan_in_the_top_5():
    logits = np.zeros((3, 6), np.float32)
    logits[1] = [0, 1, 1, 1, 1, 1]
    logits[2] = np.nan
    assert among_top_5(logits, np.array([5, 0, 0])).tolist() == [True, False, False]
