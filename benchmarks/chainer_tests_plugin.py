"""A pytest plugin for `chainer_own_tests`: today's NumPy for yesterday's tests, and the engine."""

import sys
from unittest import mock

import numpy as np

import chainer_onednn  # lets Chainer import

sys.modules.setdefault('mock', mock)  # once a package of its own

# Names that Chainer's tests (not Chainer itself) use and NumPy has removed since.
for _name, _value in {
    'bool': bool,
    'int': int,
    'object': object,
    'str': str,
    'complex': complex,
    'product': np.prod,
    'cumproduct': np.cumprod,
    'in1d': getattr(np, 'isin', None),
    'asscalar': lambda array: array.item(),
}.items():
    if _name not in vars(np):
        setattr(np, _name, _value)

chainer_onednn.enable()
