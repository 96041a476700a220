import dataclasses
import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augmented import ARGUMENTS, CIFAR, augmented, batch_of, written
from chainer_cifar import language
from chainer_cifar.data import augment
from chainer_cifar.data.augment.crop import Crop
from chainer_cifar.data.augment.mirror import AlternatingFlip, Mirror
from chainer_cifar.errors import UserError
from strict_array import xp as strict


def images(n, seed=0):
    return np.random.RandomState(seed).rand(n, 3, 32, 32).astype(np.float32) + 1


@pytest.fixture(params=[*map(written, augment.augmentations), 'rotate(20)|shift(0.2)|mirror'])
def text(request):
    return request.param


def test_host_and_device_give_the_same_pictures_and_labels(text):
    x = images(8)
    pipeline = augment.create(text)
    on_host, labels = pipeline(np, batch_of(x), np.random.RandomState(3))
    on_device, theirs = pipeline(strict, batch_of(x, strict), np.random.RandomState(3))
    np.testing.assert_allclose(on_device.get(), on_host, rtol=1e-6)
    np.testing.assert_array_equal(theirs.get(), labels)
    assert on_host.dtype == np.float32 and on_host.shape == x.shape
    assert on_host.flags.c_contiguous
    assert not np.array_equal(on_host, x)


def test_what_is_given_stays_as_it_is(text):
    x = images(8)
    x.flags.writeable = False
    batch = batch_of(x)
    result, _ = augment.create(text)(np, batch, np.random.RandomState(3))
    np.testing.assert_array_equal(x, images(8))
    np.testing.assert_array_equal(batch.t, np.arange(8))
    assert not np.shares_memory(result, x)


def test_a_seed_gives_the_same_pictures_again(text):
    x = images(20)
    once, again, other = (
        augmented(text, x, np.random.RandomState(seed), seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    np.random.seed(3)  # the module draws as a state does
    np.testing.assert_array_equal(augmented(text, x, np.random, seed=3), once)


def test_labels_are_numbers_unless_a_step_mixes_images(text):
    _, labels = augment.create(text)(np, batch_of(images(20)), np.random.RandomState(1))
    if 'mix' in text:
        assert labels.dtype == np.float32 and labels.shape == (20, 10)
        np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    else:
        np.testing.assert_array_equal(labels, batch_of(images(20)).t)


@given(
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(2, 40), st.integers(2, 40)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_every_step_takes_images_of_any_shape(shape, seed):
    x = np.random.RandomState(0).rand(6, *shape).astype(np.float32) * 255
    for text in (*map(written, augment.augmentations), 'erase(1, noise=1)', 'cutmix(1, 0.5)'):
        x.flags.writeable = False
        result, labels = augment.create(text, seed)(np, batch_of(x), np.random.RandomState(seed))
        assert result.shape == x.shape and result.dtype == np.float32, text
        assert np.isfinite(result).all() and len(labels) == 6, text


COLOURS = ['jitter', 'randaugment', 'trivialaugment']


@pytest.mark.parametrize('name', COLOURS)
def test_colours_are_the_same_with_and_without_their_mean(name):
    x = images(40) * 80
    expected = augmented(name, x, np.random.RandomState(2))
    result = augmented(name, x - 120.5, np.random.RandomState(2), black=-120.5)
    # All but values that rounding takes to another byte.
    close = np.abs(result + 120.5 - expected) < 0.001
    assert close.mean() > 0.999 and result.dtype == np.float32


def test_steps_on_colours_are_refused_where_there_are_none(text):
    if text in COLOURS:
        with pytest.raises(UserError, match=rf"^'{text}': acts on colours of 0 to 255; give -d "):
            augment.create(f'crop|{text}', black=None)
    else:
        augment.create(text, black=None)


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
    (flipped,) = Mirror().draw(np.random.RandomState(0), 10000, CIFAR)
    assert abs(len(flipped) / 10000 - 0.5) < 0.025  # five standard deviations
    assert len(set(flipped)) == len(flipped)


def flips(seed, epoch, n=10000):
    """Which of n images altflip flips."""
    index = np.arange(n)
    (flipped,) = AlternatingFlip().draw_known(seed, index, np.full(n, epoch))
    return np.isin(index, flipped)


def test_altflip_flips_each_image_in_every_other_epoch():
    first = flips(1, 0)
    assert abs(first.mean() - 0.5) < 0.025  # five standard deviations
    np.testing.assert_array_equal(flips(1, 1), ~first)
    np.testing.assert_array_equal(flips(1, 2), first)
    np.testing.assert_array_equal(flips(1, 7), ~first)
    assert 0.475 < (flips(2, 0) == first).mean() < 0.525


def test_altflip_knows_an_image_in_any_batch_and_each_ones_epoch():
    x = images(4)
    batch = augment.Batch(x, np.arange(4), np.array([70000, 5, 5, 9]), np.array([0, 0, 1, 3]))
    result, _ = augment.create('altflip', seed=3)(np, batch, None)
    for i, (index, epoch) in enumerate([(70000 % 65536, 0), (5, 0), (5, 1), (9, 3)]):
        flipped = flips(3, epoch)[index]
        np.testing.assert_array_equal(result[i], x[i, :, :, ::-1] if flipped else x[i])
    np.testing.assert_array_equal((result[1] == x[1]).all(), not (result[2] == x[2]).all())


@pytest.mark.parametrize('text', ['', 'none', ' , '])
def test_none(text):
    x = images(2)
    assert augmented(text, x, np.random.RandomState(0)) is x


@pytest.mark.parametrize('text', ['mirror, crop', 'mirror|crop(4)', 'mirror | crop(margin=4),'])
def test_order_is_that_of_the_text(text):
    x = images(4)
    rng = np.random.RandomState(5)
    expected = Mirror().apply(np, x, *Mirror().draw(rng, 4, CIFAR))
    expected = Crop().apply(np, expected, *Crop().draw(rng, 4, CIFAR))
    result = augmented(text, x, np.random.RandomState(5))
    np.testing.assert_array_equal(result, expected)


def test_unknown_name():
    with pytest.raises(UserError, match=r"^'miror': .*'miror', did you mean 'mirror'"):
        augment.create('crop,miror')


def test_forms_show_every_augmentation():
    forms = augment.forms()
    for name, step in augment.augmentations.items():
        assert language.form(name, step) in forms
    assert 'crop(margin=4, fill=constant, value=0)' in forms
