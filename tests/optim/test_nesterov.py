import chainer
import numpy as np

from chainer_cifar.optim.nesterov import Nesterov


def steps(gradients, lr=1.0, momentum=0.9):
    """By how much a parameter falls in each step."""
    link = chainer.Link()
    with link.init_scope():
        link.p = chainer.Parameter(np.zeros(3, np.float32))
    optimizer = Nesterov(lr, momentum).setup(link)
    fallen = []
    for gradient in gradients:
        before = link.p.array.copy()
        link.p.grad = np.full(3, gradient, np.float32)
        optimizer.update()
        fallen.append(before - link.p.array)
    assert all(np.ptp(step) == 0 and step.dtype == np.float32 for step in fallen)
    return [float(step[0]) for step in fallen]


def test_answer_to_a_single_gradient():
    np.testing.assert_allclose(steps([1, 0, 0, 0]), [1.9, 0.81, 0.729, 0.6561], rtol=1e-6)


def test_against_the_rule_written_out():
    gradients = np.random.default_rng(0).normal(size=20)
    v, expected = 0.0, []
    for g in gradients:
        v = 0.8 * v + g
        expected.append(0.1 * (g + 0.8 * v))
    np.testing.assert_allclose(steps(gradients, 0.1, 0.8), expected, rtol=1e-4, atol=1e-6)


def test_no_gradient_no_step():
    link = chainer.links.Linear(2, 2)
    before = link.W.array.copy()
    optimizer = Nesterov().setup(link)
    link.cleargrads()
    optimizer.update()
    np.testing.assert_array_equal(link.W.array, before)
