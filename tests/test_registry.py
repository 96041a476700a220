import pytest

from chainer_cifar.errors import UserError
from chainer_cifar.registry import Registry, nearest


def test_register_and_find():
    things = Registry('thing')
    things.register('one')(1)
    things.register('two')(2)
    assert things['one'] == 1 and list(things) == ['one', 'two'] and len(things) == 2


def test_a_name_is_taken_once():
    things = Registry('thing')
    things.register('one')(1)
    with pytest.raises(ValueError, match="thing 'one' is registered twice"):
        things.register('one')(2)
    assert things['one'] == 1


def test_unknown_name_shows_the_nearest_or_all():
    things = Registry('thing')
    things.register('residual')(1)
    with pytest.raises(UserError, match="no thing is called 'resdual', did you mean 'residual'"):
        things['resdual']
    with pytest.raises(UserError, match=r'\(there are: residual\)'):
        things['x']


def test_nearest():
    assert nearest('--ler', ['--lr', '--iter']) == ", did you mean '--lr'?"
    assert nearest('zzz', ['--lr']) == ''
