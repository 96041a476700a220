"""What the toolkit computes on the device beside the net gives the CPU's numbers."""

import chainer
import numpy as np
import pytest

from augmented import EVERY, batch_of, written
from chainer_cifar import device as devices
from chainer_cifar.config import TrainConfig
from chainer_cifar.data import augment
from chainer_cifar.evaluation.inference import views
from chainer_cifar.optim import averaging, optimizers
from chainer_cifar.optim.losses import smoothed_cross_entropy
from taken import MANY, assert_taken_in_order
from tiny_net import Tiny

pytestmark = pytest.mark.gpu

CPU = chainer.get_device('@numpy')


def pictures(n):
    return np.random.RandomState(0).uniform(1, 255, (n, 3, 32, 32)).astype(np.float32)


def test_description(gpu):
    facts = devices.describe(gpu)
    assert facts['kind'] == 'gpu' and facts['name']
    assert facts['driver'] >= facts['CUDA'] // 1000 * 1000 >= 11000
    assert (facts['cuDNN'] is None) == (not chainer.cuda.cudnn_enabled)


@pytest.mark.parametrize('text', [*map(written, augment.augmentations), 'erase(1, noise=1)', EVERY])
def test_augmentation(text, gpu):
    pipeline = augment.create(text)
    wanted, labels = pipeline(np, batch_of(pictures(20)), np.random.RandomState(3))
    got, theirs = pipeline(gpu.xp, batch_of(pictures(20), gpu.xp), np.random.RandomState(3))
    # Colours are rounded to bytes, where rounding may take a value to the next one.
    far = np.abs(got.get() - wanted) > 0.01
    assert far.mean() < 0.001
    np.testing.assert_allclose(theirs.get(), labels, rtol=1e-6)


@pytest.mark.parametrize('name', views)
def test_views_for_evaluation(name, gpu):
    wanted = list(views[name](np, pictures(3)))
    got = list(views[name](gpu.xp, gpu.send(pictures(3))))
    assert [weight for weight, _ in got] == [weight for weight, _ in wanted]
    for (_, theirs), (_, ours) in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(theirs.get(), ours)


def test_images_reach_the_device_in_order(gpu):
    assert_taken_in_order(pictures(MANY), gpu)


def trained(device, average, **flags):
    """The weights after four updates, by fixed gradients, and their average."""
    np.random.seed(0)
    net = Tiny()
    for parameter in net.params():
        parameter.array = np.random.standard_normal(parameter.shape).astype(np.float32)
    net.to_device(device)
    follow = averaging.create(average, net)
    optimizer, rates = optimizers.create(TrainConfig(lr=0.1, alpha=0.01, **flags), net)
    follow.begin()
    rng = np.random.RandomState(1)
    for iteration in range(4):
        for _, parameter in sorted(net.namedparams()):
            gradient = rng.standard_normal(parameter.shape).astype(np.float32)
            parameter.grad = device.send(gradient)
        rates.set(0.01 * (iteration + 1), iteration / 4)
        optimizer.update()
        follow.after_update(iteration + 1, (iteration + 1) / 4)
    return {
        f'{kind}{path}': chainer.cuda.to_cpu(parameter.array)
        for kind, each in (('trained', net), ('average', follow.net))
        for path, parameter in each.namedparams()
    }


@pytest.mark.parametrize('average', ['ema(0.9)', 'lookahead(2)'])
@pytest.mark.parametrize('name', optimizers.registry)
def test_optimizer_and_average(name, average, gpu):
    flags = {
        'optimizer': name,
        'weight_decay': 0.1,
        'clip_gradient': 0.5,
        'lr_factors': 'fc2=3',
        'no_decay_bn': True,
    }
    wanted, got = (trained(device, average, **flags) for device in (CPU, gpu))
    assert got.keys() == wanted.keys()
    for path in wanted:
        np.testing.assert_allclose(got[path], wanted[path], rtol=1e-4, atol=1e-6, err_msg=path)


@pytest.mark.parametrize('mixed', [False, True])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('smoothing', [0, 0.1])
def test_loss(smoothing, weighted, mixed, gpu):
    rng = np.random.RandomState(0)
    logits = rng.standard_normal((6, 4)).astype(np.float32)
    labels = np.array([0, 3, 1, 1, 2, 0], np.int32)
    if mixed:
        labels = (0.7 * np.eye(4)[labels] + 0.3 * np.eye(4)[labels[::-1]]).astype(np.float32)
    results = []
    for device in (CPU, gpu):
        weights = device.send(np.array([1, 2, 0.5, 0.5], np.float32)) if weighted else None
        x = chainer.Variable(device.send(logits))
        loss = smoothed_cross_entropy(smoothing, weights)(x, device.send(labels))
        loss.backward()
        results.append([chainer.cuda.to_cpu(array) for array in (loss.array, x.grad)])
    for got, wanted in zip(*results[::-1], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)
