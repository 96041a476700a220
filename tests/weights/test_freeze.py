"""Frozen parts stay, the others train, and the net is in all else the net it was."""

import copy

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest

from chainer_cifar import nets
from chainer_cifar.errors import UserError
from chainer_cifar.weights.freeze import freeze
from known_weights import arrays_of, fill
from tiny_net import Tiny

X = np.random.RandomState(1).randn(8, 2, 6, 6).astype(np.float32)
T = np.array([0, 1, 2, 0, 1, 2, 0, 1], np.int32)


def prepared(patterns=None, optimizer=None):
    net = Tiny()
    fill(net)
    optimizer = (optimizer or chainer.optimizers.MomentumSGD(0.1)).setup(net)
    optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.1))
    return net, optimizer, patterns and freeze(net, patterns)


def train(net, optimizer, steps=3):
    for _ in range(steps):
        optimizer.update(lambda: F.softmax_cross_entropy(net(X), T))


def changed(net, before):
    return {
        name for name, array in arrays_of(net).items() if not np.array_equal(array, before[name])
    }


CASES = {
    'conv1': ['conv1/W', 'conv1/b'],
    'conv1/W': ['conv1/W'],
    '*_bn': ['conv1_bn/beta', 'conv1_bn/gamma', 'dw_bn/beta', 'dw_bn/gamma'],
    'conv*, dw': ['conv1/W', 'conv1/b', 'conv1_bn/beta', 'conv1_bn/gamma', 'dw/W'],
    '/fc[12]': ['fc1/W', 'fc1/b', 'fc2/W', 'fc2/b'],
    '*/gamma': ['conv1_bn/gamma', 'dw_bn/gamma'],
}


@pytest.mark.parametrize('optimizer', [chainer.optimizers.Adam, chainer.optimizers.MomentumSGD])
@pytest.mark.parametrize('patterns', CASES)
def test_what_matches_stays_and_the_rest_trains(patterns, optimizer):
    net, optimizer, names = prepared(patterns, optimizer())
    assert sorted(names) == sorted(CASES[patterns])
    before = arrays_of(net)
    train(net, optimizer)
    still = set(before) - changed(net, before)
    statistics = {name for name in still if '/avg_' in name}
    assert still - statistics == set(names)
    whole = {link for link in ('conv1_bn', 'dw_bn') if {f'{link}/gamma', f'{link}/beta'} <= still}
    assert statistics == {f'{link}/avg_{kind}' for link in whole for kind in ('mean', 'var')}


def test_frozen_normalization_uses_its_stored_statistics():
    net, _, _ = prepared('conv1*')
    got = net.conv1_bn(net.conv1(X)).array
    with chainer.using_config('train', False):
        np.testing.assert_array_equal(got, net.conv1_bn(net.conv1(X)).array)
    free, _, _ = prepared()
    assert np.abs(free.conv1_bn(free.conv1(X)).array - got).max() > 0.1


def test_gradients_behind_and_before_frozen_links_are_right():
    # Of the same function: a free net in test mode, but for the normalization that is not frozen.
    frozen, _, _ = prepared('dw,dw_bn,fc1')
    free, _, _ = prepared()
    for net in (frozen, free):
        h = F.relu(net.conv1_bn(net.conv1(X)))
        with chainer.using_config('train', net is frozen):
            h = F.relu(net.dw_bn(net.dw(h)))
        loss = F.softmax_cross_entropy(net.fc2(F.relu(net.fc1(h))), T)
        net.cleargrads()
        loss.backward()
    for name in ('conv1', 'fc2'):
        np.testing.assert_allclose(frozen[name].W.grad, free[name].W.grad, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(frozen.conv1_bn.gamma.grad, free.conv1_bn.gamma.grad, rtol=1e-4)
    # None are computed of what is frozen, which would count where gradients are clipped.
    for parameter in (frozen.dw.W, frozen.dw_bn.gamma, frozen.fc1.W, frozen.fc1.b):
        assert parameter.grad is None


def test_weight_normalization_is_not_set_by_the_first_batch():
    net = nets.create('cnnwn', 3)
    chainer.optimizers.SGD().setup(net)
    freeze(net, 'wn_conv1')
    net(np.random.rand(4, 3, 32, 32).astype(np.float32))
    np.testing.assert_array_equal(net.wn_conv1.g.array, 1)
    assert (net.wn_conv2.g.array != 1).all()


def test_nothing_is_kept_where_nothing_before_trains():
    net, _, _ = prepared('conv1*,dw*')
    h = F.relu(net.dw_bn(net.dw(F.relu(net.conv1_bn(net.conv1(X))))))
    assert net.conv1(X).creator is None and not h.requires_grad
    net.cleargrads()
    F.softmax_cross_entropy(net(X), T).backward()
    assert net.dw.W.grad is None and net.fc1.W.grad is not None


def test_same_training_as_with_a_constant_in_place_of_the_frozen_part():
    net, optimizer, _ = prepared('conv1*,dw*')
    with chainer.using_config('train', False), chainer.no_backprop_mode():
        features = F.relu(net.dw_bn(net.dw(F.relu(net.conv1_bn(net.conv1(X)))))).array
    train(net, optimizer)
    other, _, _ = prepared()
    head = chainer.Sequential(other.fc1, F.relu, other.fc2)
    optimizer = chainer.optimizers.MomentumSGD(0.1).setup(head)
    optimizer.add_hook(chainer.optimizer_hooks.WeightDecay(0.1))
    for _ in range(3):
        optimizer.update(lambda: F.softmax_cross_entropy(head(features), T))
    np.testing.assert_allclose(net.fc1.W.array, other.fc1.W.array, rtol=1e-6, atol=1e-7)


def test_resuming_equals_not_stopping(tmp_path):
    net, optimizer, _ = prepared('conv1*,dw_bn', chainer.optimizers.Adam())
    train(net, optimizer)
    chainer.serializers.save_npz(tmp_path / 'net.npz', net)
    chainer.serializers.save_npz(tmp_path / 'optimizer.npz', optimizer)
    train(net, optimizer)

    again, other, _ = prepared('conv1*,dw_bn', chainer.optimizers.Adam())
    chainer.serializers.load_npz(tmp_path / 'net.npz', again)
    chainer.serializers.load_npz(tmp_path / 'optimizer.npz', other)
    train(again, other)
    for name, array in arrays_of(net).items():
        np.testing.assert_array_equal(arrays_of(again)[name], array)


def test_names_and_copies():
    net, _, _ = prepared('conv1*')
    assert set(arrays_of(net)) == set(arrays_of(Tiny()))
    twin = copy.deepcopy(net)
    for name, array in arrays_of(twin).items():
        np.testing.assert_array_equal(array, arrays_of(net)[name])
    twin.conv1.W.array[:] = 0
    assert net.conv1.W.array.any()
    assert not twin.conv1(X).requires_grad  # the copy is frozen, too, with weights of its own
    assert np.abs(twin.conv1(X).array - net.conv1(X).array).max() > 0.1
    with chainer.using_config('train', False):
        np.testing.assert_array_equal(net.copy('copy')(X).array, net(X).array)


def test_twice():
    net, optimizer, _ = prepared('conv1')
    freeze(net, 'conv1*')
    before = arrays_of(net)
    train(net, optimizer)
    assert not any(name.startswith('conv1') for name in changed(net, before))


def test_no_pattern_freezes_nothing():
    net, optimizer, names = prepared(' , ')
    assert names == []
    before = arrays_of(net)
    train(net, optimizer)
    assert changed(net, before) == set(before)


def test_wrong_patterns():
    net, _, _ = prepared()
    with pytest.raises(UserError, match=r"^'cnv1': no part .* did you mean 'conv1'"):
        freeze(net, 'fc1,cnv1')
    with pytest.raises(UserError, match='leaves nothing to train'):
        freeze(net, '*')
    with pytest.raises(ValueError, match='after the optimizer'):
        freeze(Tiny(), 'fc1')


def test_what_lr_factors_stop_is_not_frozen():
    net, _, _ = prepared()
    for parameter in net.conv1_bn.params():
        parameter.update_rule.enabled = False
    freeze(net, 'fc1/b')
    assert type(net.conv1_bn) is L.BatchNormalization
    before = net.conv1_bn.avg_mean.copy()
    net(X)
    assert not np.array_equal(net.conv1_bn.avg_mean, before)
