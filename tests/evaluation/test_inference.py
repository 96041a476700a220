import chainer
import numpy as np
import pytest

import strict_array
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation.inference import log_probabilities, logits, views


class Lines(chainer.Chain):
    """A linear net that is not blind to mirroring and shifts; needs test mode."""

    def __init__(self, size=6, n_class=4):
        super().__init__()
        self.weights = np.random.RandomState(0).randn(3 * size * size, n_class).astype(np.float32)

    def forward(self, x):
        assert not chainer.config.train and not chainer.config.enable_backprop
        return chainer.Variable(x.reshape(len(x), -1) @ self.weights)


X = np.random.RandomState(1).randn(5, 3, 6, 6).astype(np.float32)


def moved(x, step):
    """x shifted by `step` pixels right and down, with numpy.pad's reflection."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode='reflect')
    return np.roll(padded, (step, step), axis=(2, 3))[:, :, 1:-1, 1:-1]


def test_views():
    net = Lines()

    def mean(x):
        return (net.forward(x).array + net.forward(x[..., ::-1]).array) / 2

    with chainer.using_config('train', False), chainer.no_backprop_mode():
        expected = {
            'none': net.forward(X).array,
            'mirror': mean(X),
            'mirror_shift': mean(X) / 2 + (mean(moved(X, 1)) + mean(moved(X, -1))) / 4,
        }
    assert expected.keys() == set(views)
    for name, value in expected.items():
        found = logits(net, [X[:3], X[3:]], name)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, value, atol=2e-5)


@pytest.mark.parametrize('name', views)
def test_views_on_a_device(name):
    on_host = list(views[name](np, X))
    on_device = list(views[name](strict_array.xp, strict_array.xp.asarray(X)))
    assert sum(weight for weight, _ in on_host) == 1
    for (weight, image), (other_weight, other) in zip(on_host, on_device, strict=True):
        assert weight == other_weight
        np.testing.assert_array_equal(image, other.get())


def test_progress():
    seen = []
    logits(Lines(), [X[:3], X[3:]], 'mirror', seen.append)
    assert seen == [3, 2]


def test_a_diverged_net():
    net = Lines()
    net.weights[0, 0] = np.nan
    with pytest.raises(UserError, match='NaN'):
        logits(net, [X])


def test_log_probabilities_do_not_overflow():
    found = log_probabilities(np.array([[1e4, 0, -1e4], [0, 0, 0]], np.float32))
    np.testing.assert_allclose(found, [[0, -1e4, -2e4], [-np.log(3)] * 3])
