import math

import chainer
import chainer.functions as F
import chainer.links as L
import numpy as np
import pytest

import chainer_onednn
from chainer_cifar import nets
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.nets.blocks import BatchConv2D
from chainer_cifar.optim import groups, optimizers
from chainer_onednn import kernels, updates


def test_kinds():
    net = BatchConv2D(3, 4, 3)
    assert groups.kinds(net) == {
        'conv/W': 'weight',
        'conv/b': 'bias',
        'bn/gamma': 'bn_gamma',
        'bn/beta': 'bn_beta',
    }
    assert groups.kinds(net.bn) == {'gamma': 'bn_gamma', 'beta': 'bn_beta'}


@pytest.mark.parametrize('name', nets.registry)
def test_every_net_has_weights_of_more_dimensions(name):
    net = nets.create(name, **({'res_depth': 1} if name in nets.taking('res_depth') else {}))
    shapes = {path.lstrip('/'): p.shape for path, p in net.namedparams()}
    for parameter, kind in groups.kinds(net).items():
        assert kind == 'weight' or len(shapes[parameter]) == 1, parameter


def test_read():
    assert groups.read('') == []
    assert groups.read('bn_beta=64, stem/*=0.5@3,') == [
        groups.Factor('bn_beta', 64, math.inf),
        groups.Factor('stem/*', 0.5, 3),
    ]


@pytest.mark.parametrize('text', ['bias', 'bias=', '=3', 'bias=x', 'bias=-1', 'bias=inf', 'b=1@x'])
def test_read_refuses(text):
    with pytest.raises(UserError, match='must be like bn_beta=64'):
        groups.read(text)


def test_find():
    net = chainer.Sequential(BatchConv2D(3, 4, 3), BatchConv2D(4, 4, 3))
    found = groups.find(groups.read('bias=2,0/conv=3,*/gamma=4,1/bn/gamma=5'), net)
    assert {name: factor.factor for name, factor in found.items()} == {
        '0/conv/W': 3,
        '0/conv/b': 3,
        '1/conv/b': 2,
        '0/bn/gamma': 4,
        '1/bn/gamma': 5,
    }
    with pytest.raises(UserError, match="'2/conv': no part of the net is called so, did you mean"):
        groups.find(groups.read('2/conv=1'), net)


# As PyTorch's documentation has SGD(nesterov=True) and AdamW, and Chainer's MomentumSGD.
def written_out(optimizer, p, gradients, rates, decay):
    m = v = np.zeros_like(p)
    for t, (g, lr) in enumerate(zip(gradients, rates, strict=False), 1):
        if optimizer == 'adamw':
            p = p * (1 - lr * decay)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            p = p - lr * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        elif optimizer == 'adam':
            g = g + decay * p
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            p = p - lr * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        elif optimizer == 'nesterov':
            g = g + decay * p
            v = 0.8 * v + g
            p = p - lr * (g + 0.8 * v)
        else:
            v = 0.8 * v - lr * (g + decay * p)
            p = p + v
    return p


@pytest.mark.parametrize('engine', [False, True])
@pytest.mark.parametrize('optimizer', ['sgd', 'nesterov', 'adam', 'adamw'])
def test_every_parameter_by_its_own_rule(optimizer, engine, monkeypatch):
    calls, run = [], updates._run
    monkeypatch.setattr(
        updates, '_run', lambda *args: (calls.append(len(args[-1].rules)), run(*args))
    )
    rng = np.random.RandomState(0)
    net = BatchConv2D(3, 4, 3)
    config = TrainConfig(
        optimizer=optimizer,
        momentum=0.8,
        weight_decay=0.1,
        no_decay_bn=True,
        lr_factors='bn_beta=4,conv=2,conv/b=1@1.5',
    )
    made, rates = optimizers.create(config, L.Classifier(net))
    start = {name: rng.randn(*p.shape) for name, p in net.namedparams()}
    given = {name: [rng.randn(*p.shape) for _ in range(4)] for name, p in net.namedparams()}
    for name, p in net.namedparams():
        p.array[...] = start[name]
    common = [0.1, 0.2, 0.05, 0.02]
    with chainer_onednn.enable() if engine else chainer.using_config('train', True):
        for step, rate in enumerate(common):
            rates.set(rate, epoch=step / 2)
            for name, p in net.namedparams():
                p.grad = given[name][step].astype(np.float32)
            made.update()
    own = {
        # Adam divides the decay by the size of the gradient, as it does the rest.
        '/conv/W': ([2 * rate for rate in common], 0.1 if optimizer == 'adam' else 0.05),
        '/conv/b': (common[:3], 0),
        '/bn/gamma': (common, 0),
        '/bn/beta': ([4 * rate for rate in common], 0),
    }
    for name, p in net.namedparams():
        expected = written_out(optimizer, start[name], given[name], *own[name])
        np.testing.assert_allclose(p.array, expected, rtol=2e-5, atol=2e-5, err_msg=name)
    if engine and kernels.available():
        assert sum(calls) == 15  # each parameter in every step that it is trained in, by a kernel


def test_a_factor_of_0_leaves_a_parameter_as_it_is():
    net = BatchConv2D(3, 4, 3)
    for optimizer in ('sgd', 'adamw'):
        config = TrainConfig(optimizer=optimizer, weight_decay=0.1, lr_factors='conv/W=0')
        made, rates = optimizers.create(config, net)
        before = net.conv.W.array.copy()
        for p in net.params():
            p.grad = np.ones_like(p.array)
        rates.set(0.1, 0)
        made.update()
        np.testing.assert_array_equal(net.conv.W.array, before)


@pytest.mark.parametrize('engine', [False, True])
@pytest.mark.parametrize('factors', ['conv/W=0', 'conv/W=1@3', 'weight=2,conv/W=2@0'])
def test_what_does_not_move_counts_nothing_in_the_norm_of_gradients(factors, engine):
    net = BatchConv2D(3, 4, 3)
    config = TrainConfig(clip_gradient=1e-3, weight_decay=0, lr_factors=factors)
    made, rates = optimizers.create(config, net)
    x = np.random.RandomState(0).randn(2, 3, 8, 8).astype(np.float32)
    before = net.conv.W.array.copy()
    with chainer_onednn.enable() if engine else chainer.using_config('train', True):
        for epoch in (3, 3.5):
            rates.set(0.1, epoch)
            made.update(lambda: F.sum(F.exp(net(x))))
            norm = math.sqrt(sum(float((p.grad.astype(float) ** 2).sum()) for p in net.params()))
            assert norm == pytest.approx(1e-3, rel=1e-4)
            assert not net.conv.W.grad.any() and net.bn.beta.grad.any()
    np.testing.assert_array_equal(net.conv.W.array, before)


def test_a_net_all_of_which_has_stopped():
    net = BatchConv2D(3, 4, 3)
    config = TrainConfig(clip_gradient=1, weight_decay=0.1, lr_factors='*=1@1')
    made, rates = optimizers.create(config, net)
    x = np.ones((2, 3, 8, 8), np.float32)
    for epoch, moves in ((0, True), (1, False)):
        before = [p.array.copy() for p in net.params()]
        rates.set(0.1, epoch)
        with np.errstate(divide='ignore'):  # to clip, Chainer divides by the norm
            made.update(lambda: F.sum(net(x)))
        after = [p.array for p in net.params()]
        assert any((a != b).any() for a, b in zip(after, before, strict=True)) == moves
