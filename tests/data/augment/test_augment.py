import dataclasses
import inspect

import numpy as np
import pytest

from chainer_cifar import language
from chainer_cifar.data import augment
from chainer_cifar.data.augment.crop import Crop
from chainer_cifar.data.augment.mirror import Mirror
from chainer_cifar.errors import UserError
from strict_array import xp as strict

# Arguments of those that need some.
ARGUMENTS = {'rotate': 20, 'shift': 0.2, 'zoom': 0.2, 'cutout': 16, 'channel_shift': 0.2}


def written(name):
    return f'{name}({ARGUMENTS[name]})' if name in ARGUMENTS else name


def images(n, seed=0):
    return np.random.RandomState(seed).rand(n, 3, 32, 32).astype(np.float32) + 1


@pytest.fixture(params=[*map(written, augment.augmentations), 'rotate(20)|shift(0.2)|mirror'])
def pipeline(request):
    return augment.create(request.param)


def test_host_and_device_give_the_same_pictures(pipeline):
    x = images(8)
    on_host = pipeline(np, x, np.random.RandomState(3))
    on_device = pipeline(strict, strict.asarray(x), np.random.RandomState(3))
    np.testing.assert_allclose(on_device.get(), on_host, rtol=1e-6)
    assert on_host.dtype == np.float32 and on_host.shape == x.shape
    assert on_host.flags.c_contiguous
    assert not np.array_equal(on_host, x)


def test_what_is_given_stays_as_it_is(pipeline):
    x = images(8)
    x.flags.writeable = False
    result = pipeline(np, x, np.random.RandomState(3))
    np.testing.assert_array_equal(x, images(8))
    assert not np.shares_memory(result, x)


def test_a_seed_gives_the_same_pictures_again(pipeline):
    x = images(8)
    once, again, other = (pipeline(np, x, np.random.RandomState(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    np.random.seed(3)  # the module draws as a state does
    np.testing.assert_array_equal(pipeline(np, x, np.random), once)


@pytest.mark.parametrize('name', augment.augmentations)
def test_each_is_a_frozen_dataclass_with_checked_arguments(name):
    step = augment.augmentations[name]
    assert dataclasses.is_dataclass(step) and step.__dataclass_params__.frozen
    required = [
        each for each in inspect.signature(step).parameters.values() if each.default is each.empty
    ]
    assert bool(required) == (name in ARGUMENTS)
    for field in dataclasses.fields(step):
        arguments = {each.name: ARGUMENTS[name] for each in required} | {field.name: 'nonsense'}
        with pytest.raises(ValueError, match=f'^{field.name} '):
            step(**arguments)


def test_mirror_flips_the_chosen_half():
    x = images(2)
    result = Mirror().apply(np, x, np.array([0]))
    np.testing.assert_array_equal(result, [x[0, :, :, ::-1], x[1]])
    (flipped,) = Mirror().draw(np.random.RandomState(0), 10000, 32)
    assert abs(len(flipped) / 10000 - 0.5) < 0.025  # five standard deviations
    assert len(set(flipped)) == len(flipped)


@pytest.mark.parametrize('text', ['', 'none', ' , '])
def test_none(text):
    x = images(2)
    assert augment.create(text)(np, x, np.random.RandomState(0)) is x


@pytest.mark.parametrize('text', ['mirror, crop', 'mirror|crop(4)', 'mirror | crop(margin=4),'])
def test_order_is_that_of_the_text(text):
    x = images(4)
    rng = np.random.RandomState(5)
    expected = Mirror().apply(np, x, *Mirror().draw(rng, 4, 32))
    expected = Crop().apply(np, expected, *Crop().draw(rng, 4, 32))
    result = augment.create(text)(np, x, np.random.RandomState(5))
    np.testing.assert_array_equal(result, expected)


def test_unknown_name():
    with pytest.raises(UserError, match=r"^'miror': .*'miror', did you mean 'mirror'"):
        augment.create('crop,miror')


def test_forms_show_every_augmentation():
    forms = augment.forms()
    for name, step in augment.augmentations.items():
        assert language.form(name, step) in forms
    assert 'crop(margin=4, fill=constant, value=0)' in forms
