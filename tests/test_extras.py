import pytest

from chainer_cifar import extras
from chainer_cifar.errors import UserError


def test_a_package_that_is_there():
    assert extras.package('os.path', 'some', 'paths').sep


def test_a_missing_package_is_told_with_what_installs_it():
    with pytest.raises(UserError, match=r"^This needs a package .*\(nowhere\); .* '\.\[some\]'$"):
        extras.package('nowhere.inside', 'some', 'This')
