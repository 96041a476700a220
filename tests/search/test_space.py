"""The space of a search: what users type for flags, and what that means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainer_cifar.errors import UserError
from chainer_cifar.search import space
from chainer_cifar.search.space import Choice, Range, Space

FREE = [name for name in space.FIELDS if name not in (*space.REFUSED, *space.FIXED)]


def of(**texts):
    return Space({name: space.parse(name, text) for name, text in texts.items()})


@pytest.mark.parametrize(
    ('name', 'text', 'item'),
    [
        ('lr', '1e-3..1e-1', Range(0.001, 0.1, log=True)),
        ('lr', '0.01..0.1', Range(0.01, 0.1, log=True)),
        ('alpha', '3e-5..3e-4', Range(0.00003, 0.0003, log=True)),
        ('lr', '0.02..0.1', Range(0.02, 0.1, log=False)),
        ('momentum', '0..0.9', Range(0.0, 0.9, log=False)),
        ('momentum', 'log(0.5..0.9)', Range(0.5, 0.9, log=True)),
        ('lr', ' linear( 1e-3 .. 1 ) ', Range(0.001, 1.0, log=False)),
        ('batch_size', '32..256', Range(32, 256, log=False)),
        ('batch_size', '32;64', Choice((32, 64))),
        ('lr', '0.1; 1', Choice((0.1, 1.0))),
        ('augment', 'crop,mirror;mixup(0.2)', Choice(('crop,mirror', 'mixup(0.2)'))),
        ('skip_depth', 'yes;no', Choice((True, False))),
        ('skip_depth', 'yes', True),
        ('lr', '0.5', 0.5),
        ('gpu', '-1', -1),
        ('dataset', '../data/image.pkl', '../data/image.pkl'),
        ('augment', 'none', 'none'),
    ],
)
def test_parse(name, text, item):
    found = space.parse(name, text)
    assert found == item and type(found) is type(item)
    if isinstance(item, Range):
        assert type(found.low) is type(item.low)


@pytest.mark.parametrize(
    ('name', 'text', 'words'),
    [
        ('lr', '1e-1..1e-3', r'the range is reversed; write 1e-3\.\.1e-1'),
        ('lr', '1..1', 'holds one number only; write 1'),
        ('lr', 'a..1', "'a' is no end of a range of numbers"),
        ('lr', '1..', "'' is no end"),
        ('lr', '0..inf', "'inf' is no end"),
        ('lr', '0..nan', "'nan' is no end"),
        ('lr', 'log(0..1)', 'begins above 0'),
        ('lr', 'log(1)', 'must hold a range'),
        ('lr', 'much', 'must be a number, a range'),
        ('batch_size', '1.5..3', 'a range of whole numbers'),
        ('batch_size', '1;x', "'x': must be a whole number"),
        ('augment', 'crop;', 'an empty alternative'),
        ('augment', 'crop;crop', 'names crop twice'),
        ('lr', '0.1;.1', r'names 0\.1 twice'),
        ('skip_depth', 'maybe', 'must be yes, no'),
        ('iter', '1..9', 'the same in all trials'),
        ('seed', '1;2', 'the same in all trials'),
        ('folds', '5', 'no flag of a search'),
    ],
)
def test_mistakes(name, text, words):
    with pytest.raises(UserError, match=rf'^--{name}\b.*{words}'):
        space.parse(name, text)


whole = st.integers(-(10**9), 10**9)
fractions = st.floats(-1e9, 1e9, allow_nan=False)


@st.composite
def typed(draw):
    """A flag, and something that may be typed for it."""
    name = draw(st.sampled_from(FREE))
    kind = space.FIELDS[name].type
    if kind is bool:
        return name, draw(st.sampled_from([True, False, Choice((True, False))]))
    if kind is str:
        words = st.text('crop(2),|mirror=.- ', min_size=1).map(str.strip).filter(bool)
        values = st.lists(words, min_size=1, max_size=4, unique=True)
    else:
        numbers = whole if kind is int else fractions
        low, high = sorted(draw(st.lists(numbers, min_size=2, max_size=2, unique=True)))
        if low < high and draw(st.booleans()):
            return name, Range(low, high, draw(st.booleans()) if low > 0 else False)
        values = st.lists(numbers, min_size=1, max_size=4, unique=True)
    found = draw(values)
    return name, found[0] if len(found) == 1 else Choice(tuple(found))


@given(typed())
def test_what_is_written_is_read(pair):
    name, item = pair
    assert space.parse(name, space.write(item)) == item


@given(st.sampled_from(list(space.FIELDS)), st.text('0123456789.eE-;logina()yes x', max_size=20))
def test_any_text_is_read_or_refused_in_one_line(name, text):
    try:
        item = space.parse(name, text)
        assert space.parse(name, space.write(item)) == item
    except UserError as error:
        assert str(error).startswith(f'--{name}') and '\n' not in str(error)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.floats(0, 1))
def test_rounded_numbers_are_short_and_inside(one, other, place):
    low, high = sorted((one, other))
    number = low + place * (high - low)
    found = Range(low, high, log=False).rounded(number)
    assert low <= found <= high and abs(found - number) <= 0.01 * number
    assert len(f'{found:g}') < 9 or found in (low, high)


def test_flags_have_a_meaning_beside_others_only():
    found = of(
        model='cnn;residual',
        optimizer='adam;nesterov',
        lr='1e-3..1e-1',
        alpha='1e-4..1e-2',
        res_depth='2..4',
        momentum='0.8',
    )
    assert list(found.searched)[:2] == ['model', 'optimizer']
    adam = {'model': 'cnn', 'optimizer': 'adam'}
    assert found.has_meaning('alpha', adam) and not found.has_meaning('lr', adam)
    assert not found.has_meaning('res_depth', adam)
    assert found.flags({**adam, 'alpha': 0.001}) == {**adam, 'alpha': 0.001}
    nesterov = {'model': 'residual', 'optimizer': 'nesterov', 'lr': 0.1, 'res_depth': 3}
    assert found.flags(nesterov) == {**nesterov, 'momentum': 0.8}
    config = found.config(nesterov, 'a/trial_001')
    assert (config.momentum, config.res_depth, config.prefix) == (0.8, 3, 'a/trial_001')


def test_a_recipe_decides_too():
    found = of(recipe='cnn', alpha='1e-4..1e-2')
    found.require_used()
    assert found.config({'alpha': 0.001}).optimizer == 'adam'
    with pytest.raises(UserError, match='--recipe: trains without validation images'):
        of(recipe='airbench94', lr='0.1..2').config({'lr': 1.0})


@pytest.mark.parametrize(
    ('texts', 'words'),
    [
        ({'optimizer': 'adam;adamw', 'lr': '1e-3..1'}, '--lr: has no meaning for --optimizer adam'),
        ({'model': 'cnn;vgg', 'res_depth': '2..4'}, "--res_depth: has no meaning for net 'cnn'"),
        ({'lr_shape': 'cosine', 'lr_decay_iter': '1;2'}, '--lr_decay_iter: has no meaning'),
    ],
)
def test_flags_that_no_trial_has(texts, words):
    with pytest.raises(UserError, match=words):
        of(**texts).require_used()


def test_samples_hold_every_alternative_and_end():
    texts = {
        'model': 'cnn;residual;vgg',
        'optimizer': 'adam;sgd',
        'lr': '0.01..1',
        'alpha': '1e-4;1e-3',
        'res_depth': '1..3',
        'augment': 'none;crop;mirror',
    }
    found = of(**texts)
    samples = list(found.samples())
    for name, item in found.searched.items():
        ends = item.values if isinstance(item, Choice) else (item.low, item.high)
        assert {sample[name] for sample in samples if name in sample} == set(ends)
    for sample in samples:
        found.config(sample)
    assert len(samples) < 12
