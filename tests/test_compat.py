"""Chainer itself, through the patches: what our nets and tests use of it."""

import os
import pathlib
import subprocess
import sys

import chainer
import chainer.functions as F
import numpy as np
from chainer import gradient_check

import chainer_compat


def test_names_given_back_work():
    image = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
    assert F.resize_images(image, (8, 8)).shape == (1, 2, 8, 8)  # np.float
    strided = F.as_strided(chainer.Variable(image.ravel()), (4, 2), (8, 1))  # np.sctypes
    np.testing.assert_array_equal(strided.array[1], [8, 9])


def test_gradient_check_imports_and_works():
    x = np.random.RandomState(0).randn(2, 3, 5, 5)
    w = np.random.RandomState(1).randn(4, 3, 3, 3)
    gy = np.random.RandomState(2).randn(2, 4, 3, 3)
    gradient_check.check_backward(F.convolution_2d, (x, w), gy, dtype=np.float64)


def test_apply_is_idempotent():
    before = dict(vars(np))
    chainer_compat.apply()
    assert dict(vars(np)) == before


def test_pkg_resources_stub_without_setuptools():
    # In a process of its own, where pkg_resources cannot be found.
    code = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == 'pkg_resources' else find(name, *a)
sys.modules.pop('pkg_resources', None)
import chainer_compat, pkg_resources, chainer.testing
assert chainer.testing.helper.pkg_resources is pkg_resources
pkg_resources.require('numpy>=1')
for wrong, error in (('numpy<1', 'VersionConflict'), ('no-such-package', 'DistributionNotFound')):
    try:
        pkg_resources.require(wrong)
    except pkg_resources.ResolutionError as caught:
        assert type(caught).__name__ == error, caught
    else:
        raise AssertionError(wrong)
# The old way of a package in several folders, as it still stands in some.
try:
    pkg_resources.declare_namespace('a')
except ImportError:
    pass
print('fine')
"""
    src = str(__import__('pathlib').Path(chainer_compat.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env={'PYTHONPATH': src}
    )
    assert result.stdout == 'fine\n', result.stderr


CUPY = """
import importlib.util, os
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: name == 'cupy' or find(name, *a)
import chainer_compat
print(os.environ.get('CUPY_CACHE_DIR'))
"""


def place_for_kernels(temporary, **variables):
    """Where CuPy is told to keep its kernels, if it is installed; None: where it wants to."""
    src = str(pathlib.Path(chainer_compat.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, '-c', CUPY],
        capture_output=True,
        text=True,
        env={'PYTHONPATH': src, 'TMPDIR': str(temporary), **variables},
    )
    assert result.stderr == ''
    return None if result.stdout == 'None\n' else result.stdout.strip()


def test_kernels_of_a_user_whose_home_cannot_be_written(tmp_path):
    own = tmp_path / f'cupy-{os.getuid()}'
    assert place_for_kernels(tmp_path, HOME='/dev/null') == str(own)
    assert own.stat().st_mode & 0o777 == 0o700
    assert place_for_kernels(tmp_path, HOME='not/absolute') == str(own)  # a second time, too
    # Where somebody else could have put kernels, none are taken from.
    own.chmod(0o777)
    assert place_for_kernels(tmp_path, HOME='/dev/null') is None
    own.rmdir()
    own.symlink_to(tmp_path)
    assert place_for_kernels(tmp_path, HOME='/dev/null') is None


def test_kernels_of_other_users_are_where_cupy_wants_them(tmp_path):
    assert place_for_kernels(tmp_path, HOME=str(tmp_path / 'new')) is None
    assert place_for_kernels(tmp_path, HOME='/dev/null', CUPY_CACHE_DIR='/x') == '/x'
    assert list(tmp_path.iterdir()) == []
