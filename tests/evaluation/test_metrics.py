import chainer
import numpy as np
import pytest

from chainer_cifar.evaluation.metrics import loss_and_error


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
        loss, error = loss_and_error(Identity(), parts, seen.append)
        assert loss == pytest.approx(expected_loss, rel=1e-6)
        assert error == pytest.approx(expected_error)
    assert sum(seen) == 30
