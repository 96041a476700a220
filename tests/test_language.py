import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainer_cifar import language
from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry

things = Registry('thing')


@things.register('record')
def record(*args, **kwargs):
    return args, kwargs


@things.register('plain')
def plain():
    return 'plain'


@things.register('turn')
def turn(degrees, fill='nearest', limit=None):
    if degrees == 'far':
        raise ValueError('degrees must be a number')
    return degrees, fill, limit


def build(text, *context):
    return language.build(text, things, *context)


@pytest.mark.parametrize('text', ['', ' ', 'none', ' none ', ',', '||'])
def test_no_steps(text):
    assert build(text) == []


@pytest.mark.parametrize(
    ('text', 'steps'),
    [
        ('plain', ['plain']),
        ('plain()', ['plain']),
        ('plain|plain', ['plain', 'plain']),
        ('plain, turn(2) ,plain,', ['plain', (2, 'nearest', None), 'plain']),
        ('turn(2, reflect)|plain', [(2, 'reflect', None), 'plain']),
        (' turn ( 2.5 , limit = -1e-3 ) ', [(2.5, 'nearest', -0.001)]),
        ('turn(degrees=2, limit=none)', [(2, 'nearest', None)]),
    ],
)
def test_steps(text, steps):
    assert build(text) == steps


def test_numbers_keep_their_type():
    ((values, _),) = build('record(2, 2.0, 1e3, word)')
    assert values == (2, 2.0, 1000.0, 'word')
    assert [type(value) for value in values] == [int, float, float, str]


def test_context_comes_before_the_arguments():
    assert build('turn(reflect)', 90) == [(90, 'reflect', None)]
    with pytest.raises(UserError, match=r'write it as turn\(fill=nearest, limit=none\)'):
        build('turn(1, 2, 3)', 90)


words = st.sampled_from(['a', 'reflect', 'grid-wrap', 'to_all', '2nd', '-', 'x.npz', '0x1', 'None'])
values = st.one_of(st.integers(), st.floats(allow_nan=False), words, st.none())
names = st.sampled_from(['a', 'fill', 'min_lr', '_', 'none', 'B2'])
named = st.dictionaries(names, values, max_size=3)
steps = st.lists(st.tuples(st.lists(values, max_size=3), named), max_size=3)
spaces = st.sampled_from(['', ' ', '  '])


@given(steps, st.sampled_from('|,'), spaces)
def test_what_is_written_is_read(steps, separator, space):
    def write(value):
        return 'none' if value is None else str(value)

    texts = []
    for args, kwargs in steps:
        parts = [write(arg) for arg in args]
        parts += [f'{name}{space}={space}{write(value)}' for name, value in kwargs.items()]
        texts.append(f'record{space}({space}{f"{space},".join(parts)}{space})')
    read = build(f'{space}{separator}{space}'.join(texts))
    assert read == [(tuple(args), kwargs) for args, kwargs in steps]


@given(st.text('plainturnrecord2.5=,|() -', max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        assert isinstance(build(text), list)
    except UserError as error:
        assert str(error).startswith("'") and '\n' not in str(error)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('plane', "'plane': no thing is called 'plane', did you mean 'plain'"),
        ('plain|trun(2)', r"'trun\(2\)': .*, did you mean 'turn'"),
        ('turn', r"'turn': write it as turn\(degrees, fill=nearest, limit=none\)"),
        ('turn(1, 2, 3, 4)', 'write it as turn'),
        ('turn(1, angle=2)', 'write it as turn'),
        ('turn(1, degrees=2)', 'write it as turn'),
        ('turn(1, fill=a, fill=b)', 'write it as turn'),
        ('turn(1,)', 'write it as turn'),
        ('turn(1, fill=)', 'write it as turn'),
        ('turn(=1)', 'write it as turn'),
        ('plain(1)', 'write it as plain$'),
        ('turn(far)', r"'turn\(far\)': degrees must be a number"),
        ('turn(1', r"'turn\(1': cannot read it from '\(1' on; write it like"),
        ('turn(1))', r"cannot read it from '\)' on"),
        ('turn 1', "cannot read it from '1' on"),
        ('plain;plain', "cannot read it from ';plain' on"),
        ('none|plain', "no thing is called 'none'"),
    ],
)
def test_mistakes(text, words):
    with pytest.raises(UserError, match=words):
        build(text)


def test_form_can_be_read_again():
    assert language.form('turn', turn) == 'turn(degrees, fill=nearest, limit=none)'
    assert language.form('plain', plain) == 'plain'
    assert build('turn(1, fill=nearest, limit=none)') == build('turn(1)')
