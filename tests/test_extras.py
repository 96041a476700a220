import sys

import pytest

from chainer_cifar import extras
from chainer_cifar.errors import UserError


def test_a_package_that_is_there():
    assert extras.package('os.path', 'some', 'paths').sep


def test_a_missing_package_is_told_with_what_installs_it():
    with pytest.raises(
        UserError, match=r"^This needs a package .*\(nowhere\); .* --editable '\.\[some\]'$"
    ):
        extras.package('nowhere.inside', 'some', 'This')


@pytest.mark.parametrize('kind', ['ImportError', 'TypeError'])
def test_a_package_that_cannot_be_imported(monkeypatch, tmp_path, kind):
    words = f"raise {kind}('torn.so: no executable stack\\nmore')"
    (tmp_path / 'torn.py').write_text(words)
    monkeypatch.delitem(sys.modules, 'torn', raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UserError, match=r'^This needs the package torn, .*stack\); .*--upgrade'
    ) as error:
        extras.package('torn', 'some', 'This')
    assert '\n' not in str(error.value)


def test_ctrl_c_while_a_package_is_imported(monkeypatch, tmp_path):
    (tmp_path / 'slow.py').write_text("raise ImportError('failed') from KeyboardInterrupt('asked')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt, match='asked'):
        extras.package('slow', 'some', 'This')
