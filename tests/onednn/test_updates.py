"""Updates by the kernels against Chainer's: the same bits, whatever the optimizer looks like."""

import copy

import chainer
import chainer.functions as F
import numpy as np
import pytest
from chainer.optimizer_hooks import GradientClipping, Lasso, WeightDecay
from hypothesis import given, settings
from hypothesis import strategies as st

import chainer_onednn
from chainer_cifar.optim.nesterov import Nesterov
from chainer_onednn import kernels, updates
from side_by_side import random

OPTIMIZERS = {
    'MomentumSGD': lambda: chainer.optimizers.MomentumSGD(0.1),
    'NesterovAG': lambda: chainer.optimizers.NesterovAG(0.1, 0.8),
    'Nesterov': lambda: Nesterov(0.1),
    'Adam': lambda: chainer.optimizers.Adam(),
    'AdamW': lambda: chainer.optimizers.Adam(weight_decay_rate=0.01, eta=0.5, eps=1e-3),
}
OTHERS = {
    'AMSGrad': lambda: chainer.optimizers.Adam(amsgrad=True),
    'AdaBound': lambda: chainer.optimizers.Adam(adabound=True),
    'SGD': lambda: chainer.optimizers.SGD(0.1),
    'CorrectedMomentumSGD': lambda: chainer.optimizers.CorrectedMomentumSGD(0.1),
}
SHAPES = [(16,), (3, 5, 3, 3), (), (1,), (33, 7), (129, 130), (64,)]


class Net(chainer.Chain):
    def __init__(self, shapes=SHAPES):
        super().__init__()
        rng = np.random.RandomState(1)
        with self.init_scope():
            for i, shape in enumerate(shapes):
                setattr(self, f'p{i}', chainer.Parameter(np.array(random(rng, *shape), 'f')))


def nothing(net, optimizer):
    pass


def everything(net, optimizer):
    """All that an update may change or remember."""
    found = [optimizer.t]
    for param in net.params():
        rule = param.update_rule
        found += [param.array, param.grad]
        if rule is not None:
            found += [rule.t, *((rule.state or {}).get(name) for name in 'mv')]
    return [-1 if value is None else copy.deepcopy(value) for value in found]


def train(make, prepare=nothing, each=nothing, shapes=SHAPES, steps=3):
    net = Net(shapes)
    optimizer = make().setup(net)
    prepare(net, optimizer)
    rng = np.random.RandomState(2)
    results = []
    for _ in range(steps):
        for param in net.params():
            if param.array is not None:
                param.grad = np.array(random(rng, *param.shape), param.dtype)
        each(net, optimizer)
        optimizer.update()
        results += everything(net, optimizer)
    return results


def assert_same(*args, **kwargs):
    wanted = train(*args, **kwargs)
    with chainer_onednn.enable():
        got = train(*args, **kwargs)
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        assert type(ours) is type(theirs)
        np.testing.assert_array_equal(ours, theirs)


@pytest.fixture
def updated(monkeypatch):
    """A list of how many parameters each call of a kernel updates."""
    calls, run = [], updates._run

    def count(*args):
        calls.append(len(args[-1].rules))
        run(*args)

    monkeypatch.setattr(updates, '_run', count)
    return calls


def rate_of(optimizer):
    return 'alpha' if isinstance(optimizer, chainer.optimizers.Adam) else 'lr'


def decay(net, optimizer):
    optimizer.add_hook(WeightDecay(0.01))


@pytest.mark.parametrize('prepare', [nothing, decay])
@pytest.mark.parametrize('name', OPTIMIZERS)
def test_plain_parameters_in_one_call(name, prepare, updated):
    assert_same(OPTIMIZERS[name], prepare)
    assert updated == ([len(SHAPES)] * 3 if kernels.available() else [])


@settings(max_examples=30)
@given(
    shapes=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 100)), max_size=12),
    name=st.sampled_from(sorted(OPTIMIZERS)),
    prepare=st.sampled_from([nothing, decay]),
)
def test_any_shapes(shapes, name, prepare):
    assert_same(OPTIMIZERS[name], prepare, shapes=shapes, steps=2)


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_on_all_threads(name):
    assert_same(OPTIMIZERS[name], decay, shapes=[(100,), (333, 333), (7,), (64, 64, 3, 3)], steps=2)


def test_infinity_and_nan():
    def each(net, optimizer):
        net.p1.grad[0] = np.inf
        net.p1.grad[1] = np.nan
        net.p4.array[:3] = -np.inf

    for make in OPTIMIZERS.values():
        with np.errstate(invalid='ignore'):
            assert_same(make, decay, each)


def decay_twice(net, optimizer):
    decay(net, optimizer)
    optimizer.add_hook(WeightDecay(0.1), 'again')


def clip_first(net, optimizer):
    optimizer.add_hook(GradientClipping(0.5))
    decay(net, optimizer)


def clip_last(net, optimizer):
    decay(net, optimizer)
    optimizer.add_hook(GradientClipping(0.5))


def decay_afterwards(net, optimizer):
    optimizer.add_hook(WeightDecay(0.01), timing='post')


def decay_of_some(net, optimizer):
    decay(net, optimizer)
    for param in (net.p1, net.p4):
        param.update_rule.add_hook(WeightDecay(0.1), name='L2')


def another_hook_of_one(net, optimizer):
    decay(net, optimizer)
    net.p1.update_rule.add_hook(Lasso(0.1))


def a_hook_after_one(net, optimizer):
    net.p1.update_rule.add_hook(WeightDecay(0.1), timing='post')


def own_hyperparameters(net, optimizer):
    decay(net, optimizer)
    setattr(net.p1.update_rule.hyperparam, rate_of(optimizer), 0.5)


def numpys_numbers(net, optimizer):
    for name in ('momentum', 'beta1'):
        if hasattr(optimizer, name):
            setattr(optimizer, name, np.float32(0.75))


def of_double_precision(net, optimizer):
    """With which NumPy computes in it, too."""
    setattr(optimizer, rate_of(optimizer), np.float64(0.1))
    optimizer.add_hook(WeightDecay(np.float64(0.01)))


def frozen(net, optimizer):
    decay(net, optimizer)
    net.p0.update_rule.enabled = False
    net.p1.update_rule = None


def another_t(net, optimizer):
    net.p1.update_rule.t = 5


def tied(net, optimizer):
    decay(net, optimizer)
    net.p0 = net.p6


def double(net, optimizer):
    decay(net, optimizer)
    net.p4.array = net.p4.array.astype(np.float64)


def fortran(net, optimizer):
    decay(net, optimizer)
    net.p4.array = np.asfortranarray(net.p4.array)


def uninitialised(net, optimizer):
    decay(net, optimizer)
    with net.init_scope():
        net.late = chainer.Parameter(chainer.initializers.Zero())
    net.late.update_rule = optimizer.create_update_rule()
    net.late.cleargrad()


def growing(net, optimizer):
    class Grow:
        name = 'Grow'

        def __call__(self, optimizer):
            name = f'new{optimizer.t}'
            with net.init_scope():
                setattr(net, name, chainer.Parameter(np.ones(3, np.float32)))
            getattr(net, name).update_rule = optimizer.create_update_rule()
            getattr(net, name).grad = np.ones(3, np.float32)

    optimizer.add_hook(Grow())
    decay(net, optimizer)


@pytest.mark.parametrize('make', OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
@pytest.mark.parametrize(
    'prepare',
    [
        decay_twice,
        clip_first,
        clip_last,
        decay_afterwards,
        decay_of_some,
        another_hook_of_one,
        a_hook_after_one,
        own_hyperparameters,
        numpys_numbers,
        of_double_precision,
        frozen,
        another_t,
        tied,
        double,
        fortran,
        uninitialised,
        growing,
    ],
)
def test_hooks_and_special_parameters(make, prepare):
    assert_same(make, prepare)


def no_gradient(net, optimizer):
    net.p1.cleargrad()


def gradient_is_parameter(net, optimizer):
    net.p1.grad = net.p1.array


def gradient_in_another_order(net, optimizer):
    net.p1.grad = net.p1.grad[::-1].copy()[::-1]


def schedule(net, optimizer):
    setattr(optimizer, rate_of(optimizer), 0.3 / (1 + optimizer.t))


@pytest.mark.parametrize('make', OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
@pytest.mark.parametrize(
    'each',
    [no_gradient, gradient_is_parameter, gradient_in_another_order, schedule],
)
def test_special_gradients(make, each):
    assert_same(make, decay, each)


@pytest.mark.parametrize('make', OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_a_gradient_of_two_parameters(make):
    """Weight decay changes it twice, as in Chainer."""

    def each(net, optimizer):
        net.p2.grad = net.p0.grad

    assert_same(make, decay, each, shapes=[(16,), (3, 5), (16,)])


@pytest.mark.parametrize('make', OTHERS.values(), ids=OTHERS.keys())
def test_other_rules(make, updated):
    assert_same(make, decay)
    assert updated == []


def test_a_subclass_of_a_rule_is_another_rule(updated):
    class Rule(chainer.optimizers.momentum_sgd.MomentumSGDRule):
        def update_core_cpu(self, param):
            param.data -= 1

    class Optimizer(chainer.optimizers.MomentumSGD):
        def create_update_rule(self):
            return Rule(self.hyperparam)

    assert_same(Optimizer, decay)
    assert updated == []


def test_an_optimizer_with_steps_of_its_own(updated):
    class Optimizer(chainer.optimizers.MomentumSGD):
        def call_hook(self, hook):
            pass

    assert_same(Optimizer, decay)
    assert updated == []


@pytest.mark.parametrize('scale', [2.0, None])
def test_loss_scaling(scale):
    def train():
        net = Net([(4, 3), (4,)])
        optimizer = chainer.optimizers.MomentumSGD(0.1).setup(net)
        optimizer.loss_scaling(scale=scale)
        decay(net, optimizer)
        x = random(np.random.RandomState(0), 5, 3)
        for _ in range(3):
            optimizer.update(lambda: F.sum(F.linear(x, net.p0, net.p1) ** 2))
        return everything(net, optimizer)

    wanted = train()
    with chainer_onednn.enable():
        got = train()
    for ours, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_update_with_a_loss_function(engine, updated):
    net = Net([(4, 3), (4,)])
    optimizer = chainer.optimizers.MomentumSGD(0.1).setup(net)
    before = copy.deepcopy(net)
    for param in net.params():  # to be cleared
        param.grad = np.ones_like(param.array)
    optimizer.update(lambda x: F.sum(F.linear(x, net.p0, net.p1)), np.ones((2, 3), np.float32))
    np.testing.assert_allclose(net.p1.array, before.p1.array - 0.2, rtol=1e-6)
    np.testing.assert_array_equal(net.p1.grad, [2, 2, 2, 2])
    assert optimizer.t == 1
    assert updated == ([2] if kernels.available() else [])


def test_not_set_up(engine):
    with pytest.raises((RuntimeError, AttributeError)):
        chainer.optimizers.MomentumSGD().update()


def test_too_small_an_eps_is_told(engine):
    with pytest.raises((ValueError, AttributeError)):  # the second is in Chainer's own message
        train(lambda: chainer.optimizers.Adam(eps=1e-60))


def test_a_snapshot_goes_on(tmp_path, engine):
    """Saved by us, continued by Chainer; the state arrays are Chainer's own."""
    optimizer = chainer.optimizers.Adam().setup(Net())
    for param in optimizer.target.params():
        param.grad = np.ones_like(param.array)
    optimizer.update()
    chainer.serializers.save_npz(tmp_path / 'file.npz', optimizer)
    other = chainer.optimizers.Adam().setup(copy.deepcopy(optimizer.target))
    chainer.serializers.load_npz(tmp_path / 'file.npz', other)
    optimizer.update()
    chainer_onednn.disable()
    try:
        other.update()
    finally:
        chainer_onednn.enable()
    for ours, theirs in zip(
        everything(optimizer.target, optimizer), everything(other.target, other), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
