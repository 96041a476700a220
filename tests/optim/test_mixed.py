"""Mixed precision, on a CPU, where it is slow but right."""

import types

import chainer
import chainer.functions as F
import numpy as np
import pytest

import strict_array
from chainer_cifar import cli
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import Diverged, UserError
from chainer_cifar.optim import mixed, optimizers
from chainer_cifar.optim.losses import accuracy, smoothed_cross_entropy
from tiny_net import Tiny
from training_step import step

pytestmark = pytest.mark.filterwarnings('ignore:Non finite', 'ignore:overflow', 'ignore:invalid')


@pytest.fixture
def quick(monkeypatch):
    """NumPy multiplies matrices in float16 a hundred times more slowly than in float32."""
    original = np.tensordot

    def tensordot(a, b, axes):
        return original(a.astype(np.float32), b.astype(np.float32), axes).astype(a.dtype)

    monkeypatch.setattr(np, 'tensordot', tensordot)


@pytest.mark.parametrize('name', ['airbench94', 'cnnwn', 'simple_gap'])
def test_nets_have_the_gradients_of_float32(name, quick):
    loss, got = step(name, np.float16, scale=64)
    wanted_loss, wanted = step(name)
    assert loss == pytest.approx(wanted_loss, rel=0.01)
    assert np.linalg.norm(got - wanted) < 0.2 * np.linalg.norm(wanted)


def ready(precision, **flags):
    """A small net, its optimizer and its masters."""
    np.random.seed(0)
    with mixed.creating_nets(precision):
        model = chainer.links.Classifier(
            Tiny(), mixed.in_float32(smoothed_cross_entropy(0)), mixed.in_float32(accuracy)
        )
    masters = mixed.Masters(model.predictor) if precision == 'mixed16' else None
    optimizer, _ = optimizers.create(TrainConfig(lr=0.1, **flags), model)
    if masters:
        masters.follow(optimizer)
        masters.begin()
    return model, optimizer, masters


def batch(precision):
    rng = np.random.RandomState(1)
    x, t = rng.standard_normal((8, 2, 6, 6)), rng.randint(3, size=8).astype(np.int32)
    return x.astype(np.float16 if precision == 'mixed16' else np.float32), t


@pytest.mark.parametrize('scale', [1, 256])
def test_an_update_is_that_of_float32(scale):
    found = {}
    for precision in mixed.PRECISIONS:
        # Chainer's weight decay would be as many times too strong on batch normalization.
        model, optimizer, masters = ready(precision, weight_decay=0.3)
        if masters:
            optimizer._loss_scale = scale
        optimizer.update(model, *batch(precision))
        if masters:
            masters.after_update(1, 0)
        found[precision] = dict((masters.net if masters else model.predictor).namedparams())
    for name, param in found['float32'].items():
        master = found['mixed16'][name].array
        assert master.dtype == np.float32
        np.testing.assert_allclose(master, param.array, rtol=0.01, atol=2e-3, err_msg=name)


def test_small_steps_add_up_in_the_masters():
    model, optimizer, masters = ready('mixed16', weight_decay=0.0)
    weight = model.predictor.fc2.W
    before = masters.net.fc2.W.array.copy()
    for _ in range(64):
        model.cleargrads()
        weight.grad = np.full(weight.shape, 1e-5, np.float16)  # too small for a step in float16
        optimizer.lr, optimizer.momentum = 1, 0
        optimizer.update()
        masters.after_update(1, 0)
    step = before - masters.net.fc2.W.array
    np.testing.assert_allclose(step, 64e-5, rtol=0.02)
    np.testing.assert_array_equal(weight.array, masters.net.fc2.W.array.astype(np.float16))
    assert (weight.array != before.astype(np.float16)).any()


def test_an_overflow_leaves_an_update_out_and_halves_the_scale():
    model, optimizer, masters = ready('mixed16')
    x, t = batch('mixed16')
    for wanted in (2, 4, 8):
        optimizer.update(model, x, t)
        masters.after_update(1, 0)
        assert optimizer._loss_scale == wanted
    before = masters.net.fc1.W.array.copy()
    optimizer.update(lambda *_: F.sum(model.predictor.fc1.W) * np.float16(60000), x, t)
    masters.after_update(4, 0)
    assert optimizer._loss_scale == 4
    np.testing.assert_array_equal(masters.net.fc1.W.array, before)

    saved = chainer.serializers.DictionarySerializer()
    masters.serialize(saved)
    _, other, others = ready('mixed16')
    others.serialize(chainer.serializers.NpzDeserializer(saved.target))
    assert other._loss_scale == 4 and other._loss_scaling_isnan_ever
    optimizer.update(model, x, t)
    assert 4 < optimizer._loss_scale < 4.01  # after an overflow it grows slowly
    saved.target['loss_scaling/scale'] = np.array(0.5)
    with pytest.raises(ValueError, match=r'a scale of 0\.5'):
        others.serialize(chainer.serializers.NpzDeserializer(saved.target))


@pytest.mark.parametrize('bad', [None, np.nan, np.inf])
def test_a_gpu_is_asked_once_whether_gradients_overflow(monkeypatch, bad):
    _, optimizer, _ = ready('mixed16')
    grads = [np.ones((2, 3), np.float16) for _ in range(5)]
    if bad:
        grads[3][1, 1] = bad
    params = [
        types.SimpleNamespace(grad=strict_array.StrictArray(grad), device=strict_array.Device)
        for grad in grads
    ]
    optimizer.target = types.SimpleNamespace(
        xp=strict_array.xp,
        params=lambda: iter(params),
        namedparams=lambda: iter([(f'/{i}', param) for i, param in enumerate(params)]),
    )
    asked = []
    answer = strict_array.StrictArray.__bool__
    monkeypatch.setattr(
        strict_array.StrictArray, '__bool__', lambda self: asked.append(1) or answer(self)
    )
    optimizer.check_nan_in_grads()
    assert optimizer.is_safe_to_update() == (not bad)
    assert optimizer._loss_scaling_isnan_ever == bool(bad)
    assert len(asked) == 1 or bad  # only then all of them are asked, to tell which


def test_gradients_that_overflow_without_a_scale_end_the_run():
    model, optimizer, masters = ready('mixed16')
    x, t = batch('mixed16')
    model.predictor.fc2.W.array[:] = np.inf
    optimizer.update(model, x, t)
    with pytest.raises(Diverged, match='diverged: the gradients overflow in float16'):
        masters.after_update(1, 0)


def test_not_on_a_cpu(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run('train', ['--precision', 'mixed16'], 'train.py') == 2
    err = capsys.readouterr().err
    assert err.startswith('train.py: error: --precision mixed16: makes a GPU faster, not a CPU')
    assert err.count('\n') == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        ({'precision': 'mixed8'}, "--precision 'mixed8': must be one of float32, mixed16"),
        ({'precision': 'mixed16', 'average': 'ema(0.9)'}, 'not with --average'),
        ({'precision': 'mixed16', 'clip_gradient': 1.0}, 'not with --clip_gradient'),
    ],
)
def test_refusals(flags, message):
    with pytest.raises(UserError, match=message):
        TrainConfig(**flags)


@pytest.mark.parametrize('average', ['none', '', ' '])
def test_no_average_is_none_however_it_is_written(average):
    TrainConfig(precision='mixed16', average=average)
