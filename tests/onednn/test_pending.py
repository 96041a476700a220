import contextlib
import copy
import pickle
import subprocess
import sys
import warnings
import weakref

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest
from chainer.functions.activation.relu import ReLU
from chainer.functions.normalization.batch_normalization import BatchNormalization
from chainer.functions.pooling.max_pooling_nd import MaxPoolingND

import chainer_onednn
from chainer_onednn import graph, kernels, pending
from side_by_side import random

pytestmark = pytest.mark.skipif(not kernels.available(), reason='there are no kernels')


class Net(chainer.Chain):
    def __init__(self, use, channels=16):
        super().__init__()
        self.use = use
        with self.init_scope():
            weights = chainer.initializers.LeCunNormal(rng=np.random.RandomState(0))
            # A bias in front of a normalization has no gradient but rounding.
            self.conv = L.Convolution2D(3, channels, 3, nobias=True, initialW=weights)
            self.bn = L.BatchNormalization(channels)

    def forward(self, x):
        return self.use(self.bn(self.conv(x)))


def both(use, steps=2, images=16):
    """Outputs and gradients of some steps, by Chainer and by oneDNN."""
    results = []
    for enabled in (False, True):
        net, x = Net(use), random(np.random.RandomState(1), images, 3, 12, 12)
        taken = []
        with chainer_onednn.enable() if enabled else chainer.using_config('debug', False):
            for _ in range(steps):
                y = net(x)
                net.cleargrads()
                F.sum(y * random(np.random.RandomState(2), *y.shape)).backward()
                taken += [y.array, *(p.grad for _, p in sorted(net.namedparams()))]
                taken += [net.bn.avg_mean.copy(), net.bn.avg_var.copy()]
        results.append(taken)
    return results


USES = {
    'relu': F.relu,
    'no relu': lambda h: h,
    'relu and itself': lambda h: F.relu(h) + h,
    'itself and relu': lambda h: h * 2 + F.relu(h),
    'two relus': lambda h: F.relu(h) + 2 * F.relu(h),
    'sigmoid': F.sigmoid,
    'a sum and a relu': lambda h: F.relu(h + h[:, ::-1]),
    'a residual': lambda h: F.relu(F.relu(h) * 0.5 + h) + F.relu(h),
    'pooled': lambda h: F.max_pooling_2d(F.relu(h), 3, 2),
    'pooled and itself': lambda h: (lambda r: F.max_pooling_2d(r, 1) + r)(F.relu(h)),
    'pooled, not rectified': lambda h: F.max_pooling_2d(h, 2),
    'relu of a relu': lambda h: F.relu(F.relu(h)),
    'relu of a pool': lambda h: F.relu(F.max_pooling_2d(h, 2)),
    'dropout': lambda h: F.dropout(F.relu(h), 0.0),
    'two sums': lambda h: F.relu(F.relu(h + h) + h),
    'shape first': lambda h: F.relu(h) if h.shape == (16, 16, 10, 10) and len(h) == 16 else None,
}


@pytest.mark.parametrize('use', USES.values(), ids=USES.keys())
def test_every_use_gives_chainers_numbers(use):
    wanted, got = both(use)
    for ours, theirs in zip(got, wanted, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5 * max(scale, 1))


def test_what_is_pending_is_computed_when_looked_at(engine):
    h = Net(lambda h: h)(random(np.random.RandomState(1), 4, 3, 8, 8))
    assert type(h) is pending.Pending and isinstance(h, chainer.Variable)
    y = F.relu(h)
    assert type(h) is type(y) is pending.Pending  # nobody has looked
    looked = h.array
    assert type(h) is chainer.Variable and h.array is looked
    np.testing.assert_array_equal(np.maximum(looked, 0), y.array)


def test_a_net_without_normalization():
    def step():
        x = chainer.Variable(random(np.random.RandomState(0), 4, 16, 9, 9))
        w = chainer.Variable(random(np.random.RandomState(1), 16, 16, 3, 3))
        y = F.max_pooling_2d(F.relu(F.convolution_2d(x, w)), 3, 2)
        y = F.relu(F.convolution_2d(y, w, pad=1) + y)
        F.sum(y * y).backward()
        return y.array, x.grad, w.grad

    wanted = step()
    with chainer_onednn.enable():
        for ours, theirs in zip(step(), wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


def test_in_evaluation():
    net, x = Net(F.relu), random(np.random.RandomState(1), 4, 3, 8, 8)
    net(x)
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        wanted = net(x).array
        with chainer_onednn.enable():
            y = net(x)
            assert type(y) is pending.Pending
            np.testing.assert_allclose(y.array, wanted, atol=1e-5)


def test_gradients_may_be_asked_for_without_looking():
    """`chainer.grad` with gradients of the outputs: nobody has looked at the ReLU's."""

    def gradient():
        x = chainer.Variable(random(np.random.RandomState(0), 4, 16, 3, 3))
        h = x * 2
        y = F.relu(F.max_pooling_2d(F.relu(h + h), 2))
        g = chainer.Variable(random(np.random.RandomState(1), *y.shape))
        return chainer.grad([y], [x], [g])[0].array

    wanted = gradient()
    with chainer_onednn.enable():
        np.testing.assert_allclose(gradient(), wanted, rtol=1e-6)


@pytest.mark.parametrize('double', [False, True])
def test_gradients_may_be_changed_one_after_the_other(double):
    """Also in place, where one is the sum of another and something else."""

    def gradients():
        hs = [chainer.Variable(random(np.random.RandomState(0), 4, 16, 16, 16))]
        for i in range(3):
            w = 0.1 * random(np.random.RandomState(i), 16, 16, 3, 3)
            hs.append(hs[-1] + F.convolution_2d(hs[-1], w, pad=1))
        found = chainer.grad([F.sum(hs[3] ** 2)], hs[2::-1], enable_double_backprop=double)
        for each in found:
            each.array[...] /= 2
        return [each.array for each in found]

    alike(gradients)


def alike(function, tolerance=1e-4):
    """Assert that a function's arrays are the same with the engine and without."""
    wanted = function()
    with chainer_onednn.enable():
        got = function()
    for ours, theirs in zip(got, wanted, strict=True):
        assert np.isfinite(theirs).all()
        np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max())


def test_a_graph_made_within_a_backward_pass():
    def recomputed():
        net = L.Convolution2D(
            32, 32, 3, pad=1, initialW=chainer.initializers.Normal(0.1, rng=rng())
        )
        x = chainer.Variable(random(rng(), 4, 32, 16, 16))
        h = x * 2
        y = F.forget(lambda h: F.relu(net(h)) + h, h)
        net.cleargrads()
        F.sum(y * y).backward()
        return net.W.grad, x.grad

    def rng():
        return np.random.RandomState(0)

    alike(recomputed)


WAYS = {
    'chainer.grad': lambda h, y: chainer.grad([F.sum(y)], [h])[0].array,
    'retain_grad': lambda h, y: F.sum(y).backward(retain_grad=True) or h.grad,
}


@pytest.mark.parametrize('way', WAYS.values(), ids=WAYS.keys())
def test_the_gradient_between_relu_and_pooling(way):
    def gradient():
        x = chainer.Variable(random(np.random.RandomState(0), 4, 16, 9, 9))
        w = random(np.random.RandomState(1), 16, 16, 3, 3)
        h = F.relu(F.convolution_2d(x, w) - 20)  # all zero in many windows
        return (way(h, F.max_pooling_2d(h, 3, 2, pad=1)),)

    alike(gradient)


def test_indexes_of_what_is_all_zero():
    def indexes():
        x = chainer.Variable(random(np.random.RandomState(0), 4, 16, 9, 9))
        w = random(np.random.RandomState(1), 16, 16, 3, 3)
        h = F.relu(F.convolution_2d(x, w) - 20)
        return (F.max_pooling_2d(h, 3, 2, pad=1).creator_node.indexes,)

    alike(indexes, 0)


@pytest.mark.parametrize('function', [F.relu, L.BatchNormalization(64)])
def test_a_view_of_a_buffer_that_is_used_again(engine, function):
    buffer, outputs = np.empty((4, 1024), 'f'), []
    with chainer.no_backprop_mode():
        for i in range(2):
            buffer[...] = random(np.random.RandomState(i), 4, 1024)
            outputs.append(function(F.reshape(buffer, (64, 64))))
    assert np.abs(outputs[0].array - outputs[1].array).max() > 0.1


def test_another_array_for_a_variable():
    def gradient():
        net = Net(F.relu)
        h = net(random(np.random.RandomState(1), 4, 3, 8, 8))
        h.array = h.array * (h.array > 0.5)
        net.cleargrads()
        F.sum(h * random(np.random.RandomState(2), *h.shape)).backward()
        return h.array, net.conv.W.grad, net.bn.beta.grad

    alike(gradient)


@pytest.mark.parametrize('same', [False, True])
def test_another_array_for_what_was_normalized(same):
    """The ReLU's mask is that of then, all else follows what the variable holds."""

    def gradient():
        net = Net(F.relu)
        h = net.conv(random(np.random.RandomState(1), 4, 3, 8, 8))
        y = F.relu(net.bn(h))
        if same:
            y.array  # noqa: B018 - before that changes
        array = h.array if same else np.empty_like(h.array)
        array[...] = random(np.random.RandomState(2), *h.shape)
        h.array = array
        net.cleargrads()
        F.sum(y * random(np.random.RandomState(3), *y.shape)).backward()
        return y.array, net.conv.W.grad, net.bn.gamma.grad, net.bn.beta.grad

    alike(gradient)


@pytest.mark.parametrize('use', [F.relu, lambda h: h, lambda h: F.max_pooling_2d(F.relu(h), 2)])
def test_an_update_before_the_backward_pass(use):
    """As where two optimizers share a graph: Chainer takes the parameters as they are then."""

    def gradient():
        net = Net(use)
        y = net(random(np.random.RandomState(1), 4, 3, 8, 8))
        net.bn.gamma.array += random(np.random.RandomState(2), 16)
        net.bn.beta.array += 1
        net.cleargrads()
        F.sum(y * random(np.random.RandomState(3), *y.shape)).backward()
        return y.array, net.conv.W.grad, net.bn.gamma.grad, net.bn.beta.grad

    alike(gradient)


def test_subclasses_of_pooling_keep_their_ways(engine):
    class Doubled(MaxPoolingND):
        def forward_cpu(self, inputs):
            return (super().forward_cpu(inputs)[0] * 2,)

    assert Doubled(2, 2).apply((np.ones((1, 1, 4, 4), 'f'),))[0].array.max() == 2


def test_retained_outputs(engine):
    y = Net(F.relu)(random(np.random.RandomState(1), 4, 3, 8, 8))
    assert y.creator_node.get_retained_outputs()[0].array is y.array


def test_second_derivatives():
    def second():
        net = Net(lambda h: F.max_pooling_2d(F.relu(h + h), 2))
        x = chainer.Variable(random(np.random.RandomState(1), 4, 3, 8, 8))
        (gx,) = chainer.grad([F.sum(net(x) ** 2)], [x], enable_double_backprop=True)
        net.cleargrads()
        F.sum(gx**2).backward()
        return gx.array, net.conv.W.grad

    wanted = second()
    with chainer_onednn.enable():
        for ours, theirs in zip(second(), wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


def test_gradients_of_the_input_are_no_longer_pending(engine):
    x = chainer.Variable(random(np.random.RandomState(1), 4, 16, 8, 8))
    h = x * 1
    F.sum(F.relu(h + h)).backward()
    assert type(x.grad_var) is chainer.Variable


def test_no_more_than_needed_is_kept(engine):
    """A ReLU whose output was only pooled has none."""
    h = Net(F.relu)(random(np.random.RandomState(1), 4, 3, 8, 8))
    y = F.max_pooling_2d(h, 2)
    relu = y.creator_node.inputs[0].creator_node
    F.sum(y).backward()
    assert relu._work.done is None


@pytest.mark.parametrize(
    'use', [F.leaky_relu, lambda h: F.max_pooling_2d(h, 2), lambda h: F.relu(h) + h]
)
def test_what_a_normalization_gave_is_not_kept(engine, use):
    h = Net(lambda h: h)(random(np.random.RandomState(1), 4, 3, 8, 8))
    y = use(h)
    given = weakref.ref(h.array)
    del h
    assert given() is None and y.creator_node is not None


def test_nothing_to_propagate(engine):
    x = chainer.Variable(np.ones((2, 3), 'f'))
    chainer.backward([])
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Chainer's own, that there is no gradient
        chainer.backward([F.sum(x), F.relu(x)])
    assert x.grad is None


def test_graphs_are_settled_when_the_engine_goes(engine):
    y = F.max_pooling_2d(Net(F.relu)(random(np.random.RandomState(1), 4, 3, 8, 8)), 2)
    relu = y.creator_node.inputs[0].creator_node
    graph.settle_all()
    assert relu.get_retained_outputs()[0].array is relu._work.done


def test_looking_later_gives_the_value_of_then(engine):
    net = Net(lambda h: h)
    x = random(np.random.RandomState(1), 4, 3, 8, 8)
    with chainer.no_backprop_mode():
        wanted = net(x).array
    h = net(x)
    y = F.relu(h)
    net.bn.gamma.array[...] = 9  # an optimizer has been at work meanwhile
    np.testing.assert_array_equal(h.array, wanted)
    np.testing.assert_array_equal(y.array, np.maximum(wanted, 0))


@pytest.mark.parametrize('watch', ['hook', 'debug'])
def test_nothing_is_pending_while_somebody_watches(engine, watch):
    net = Net(lambda h: h)
    x = random(np.random.RandomState(1), 4, 3, 8, 8)
    mode = {
        'hook': chainer.function_hooks.TimerHook,
        'debug': lambda: chainer.using_config('debug', True),
    }[watch]()
    with mode:
        assert type(net(x)) is chainer.Variable


def test_copies_of_the_variable(engine):
    x = random(np.random.RandomState(1), 4, 3, 8, 8)
    with chainer.no_backprop_mode():
        wanted = Net(lambda h: h)(x).array
    for duplicate in (copy.copy, copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))):
        h = Net(lambda h: h)(x)
        assert type(h) is pending.Pending
        np.testing.assert_array_equal(duplicate(h).array, wanted)


def test_pickle_and_copy_of_the_net(engine):
    net, x = Net(F.relu), random(np.random.RandomState(1), 4, 3, 8, 8)
    net(x)
    net.use = None
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), net.copy('copy')):
        other.use = F.relu
        assert other(x).shape == (4, 16, 6, 6)


def test_a_buffer_that_is_used_again(engine):
    """What comes from outside of the graph may change at any time."""
    link, buffer, outputs = L.BatchNormalization(5), np.empty((8, 5), 'f'), []
    for i in range(2):
        buffer[...] = random(np.random.RandomState(i), 8, 5)
        outputs.append(link(buffer))
    assert np.abs(outputs[0].array - outputs[1].array).max() > 0.1


def test_two_relus_of_one_output_are_two_arrays(engine):
    h = Net(lambda h: h)(random(np.random.RandomState(1), 4, 3, 8, 8))
    a, b = F.relu(h), F.relu(h)
    a.array[...] = 0
    assert b.array.sum() > 0


class Deconvnet(ReLU):
    """A ReLU whose gradient is another: it passes what is positive (Zeiler and Fergus, 2014)."""

    def backward(self, indexes, grad_outputs):
        return (F.relu(grad_outputs[0]),)


class Leaky(ReLU):
    def forward_cpu(self, inputs):
        self.retain_outputs((0,))
        return (np.where(inputs[0] > 0, inputs[0], inputs[0] * np.float32(0.1)),)


class Doubled(BatchNormalization):
    def forward(self, inputs):
        return (super().forward(inputs)[0] * 2,)


@pytest.mark.parametrize('relu', [Deconvnet, Leaky])
def test_subclasses_of_relu_keep_their_ways(relu):
    def use(h):
        return F.max_pooling_2d(relu().apply((h,))[0], 2)

    for ours, theirs in zip(*reversed(both(use)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_subclasses_of_batch_normalization_keep_their_ways(engine):
    x = chainer.Variable(random(np.random.RandomState(0), 64, 16, 3, 3)) * 1
    gamma, beta = (chainer.Parameter(value, (16,)) for value in (1, 0))
    assert Doubled().apply((x, gamma, beta))[0].array.std() == pytest.approx(2, rel=1e-3)


def test_the_gradient_of_a_node_that_was_asked_for():
    def gradient():
        net = Net(lambda h: h)
        y = F.relu(net(random(np.random.RandomState(1), 4, 3, 8, 8)))
        h = y.creator_node.inputs[0].get_variable()
        (gh,) = chainer.grad([F.sum(y)], [h])
        return gh.array.sum()

    wanted = gradient()
    with chainer_onednn.enable():
        assert gradient() == pytest.approx(wanted)


def test_a_hook_of_one_function_sees_masked_gradients(engine):
    seen = []

    class Hook(chainer.FunctionHook):
        name = 'seen'

        def backward_preprocess(self, function, in_data, out_grad):
            seen.append(np.count_nonzero(out_grad[0]) / out_grad[0].size)

    y = F.relu(Net(lambda h: h)(random(np.random.RandomState(1), 4, 3, 8, 8)))
    y.creator_node.inputs[0].creator_node.add_hook(Hook())
    F.sum(y).backward()
    assert 0.2 < seen[0] < 0.8


@pytest.mark.parametrize('grad', [False, True])
@pytest.mark.parametrize('of_one', [False, True])
def test_hooks_of_the_way_back_see_what_a_relu_gave(engine, of_one, grad):
    seen = []

    class Hook(chainer.FunctionHook):
        name = 'seen'

        def backward_preprocess(self, function, in_data, out_grad):
            if isinstance(function, MaxPoolingND):
                seen.extend(in_data)

    net = Net(F.relu)
    h = net(random(np.random.RandomState(1), 4, 3, 8, 8))
    y = F.max_pooling_2d(h, 2)
    if of_one:
        y.creator_node.add_hook(Hook())
    with contextlib.nullcontext() if of_one else Hook():
        if grad:
            chainer.grad([F.sum(y)], [net.conv.W])
        else:
            F.sum(y).backward()
    np.testing.assert_array_equal(seen, [h.array])


def test_threads_that_look_at_the_same_variable():
    # In a process of its own, since the kernel read at address 0 where one thread was too early.
    program = """
import sys, threading
import chainer_compat, chainer_onednn
import chainer, chainer.functions as F, chainer.links as L
import numpy as np
chainer_onednn.enable()
bn, x = L.BatchNormalization(16), np.random.RandomState(0).randn(8, 16, 16, 16).astype('f')
w = np.random.RandomState(1).randn(16, 16, 3, 3).astype('f')
sys.setswitchinterval(1e-5)
sums = set()
def look():
    start.wait()
    sums.add(float(h.array.sum()))
with chainer.using_config('train', False):
    for _ in range(100):
        h = F.relu(bn(F.convolution_2d(x, w, pad=1)) + F.convolution_2d(x, w, pad=1))
        start = threading.Barrier(4)
        threads = [threading.Thread(target=look) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
print(len(sums))
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == '1\n' and done.stderr == '', done.stderr


def test_another_thread_has_settled_the_last_one(monkeypatch):
    class Emptied(weakref.WeakSet):
        def __len__(self):
            return 1  # as it was when this thread looked

    monkeypatch.setattr(graph, 'unsettled', Emptied())
    graph.settle_all()
