"""A stand-in for CuPy where there is no GPU: arrays that never become NumPy arrays by accident.

`xp` has NumPy's functions, but they take and give `StrictArray` only. As with CuPy, mixing one with
a NumPy array, or handing one to NumPy, raises TypeError; the two ways across are ``xp.asarray`` and
``get``.
"""

import types

import numpy as np

_SCALARS = (bool, int, float, np.number, np.bool_, str, type(None), np.dtype, type)


class StrictArray:
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, array):
        self._array = np.asarray(array)

    def get(self):
        """A NumPy copy, on the host."""
        return self._array.copy()

    def __array__(self, *args, **kwargs):
        raise TypeError('implicit conversion of a device array to NumPy')

    def __array_function__(self, *args, **kwargs):
        raise TypeError('a NumPy function was given a device array')

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        value = getattr(self._array, name)
        return _strict(value) if callable(value) else _wrap(value)

    def __len__(self):
        return len(self._array)

    def __getitem__(self, key):
        return _wrap(self._array[_unwrap(key)])

    def __setitem__(self, key, value):
        self._array[_unwrap(key)] = _unwrap(value)

    def __bool__(self):
        return bool(self._array)

    def __float__(self):
        return float(self._array)

    def __int__(self):
        return int(self._array)


def _operator(name):
    def method(self, *others):
        return _wrap(getattr(self._array, name)(*map(_unwrap, others)))

    return method


_BINARY = ['add', 'sub', 'mul', 'truediv', 'floordiv', 'mod', 'and', 'or', 'xor']
_COMPARE = ['eq', 'ne', 'lt', 'le', 'gt', 'ge']
for _name in [*_BINARY, *('r' + name for name in _BINARY), *_COMPARE, 'neg', 'invert']:
    setattr(StrictArray, f'__{_name}__', _operator(f'__{_name}__'))


def _unwrap(value):
    if isinstance(value, StrictArray):
        return value._array
    if isinstance(value, (tuple, list)):
        return type(value)(map(_unwrap, value))
    if isinstance(value, (slice, type(Ellipsis), *_SCALARS)):
        return value
    raise TypeError(f'{type(value).__name__} given where a device array is needed')


def _wrap(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return StrictArray(value)
    return tuple(map(_wrap, value)) if isinstance(value, tuple) and _holds_arrays(value) else value


def _holds_arrays(values):
    return any(isinstance(value, np.ndarray) for value in values)


def _strict(function):
    def call(*args, **kwargs):
        kwargs = {name: _unwrap(value) for name, value in kwargs.items()}
        return _wrap(function(*map(_unwrap, args), **kwargs))

    if isinstance(function, np.ufunc) and function.nin == 2:
        call.at = _strict(function.at)
    return call


class _Module:
    __name__ = 'strict'

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        value = getattr(self._module, name)
        if isinstance(value, types.ModuleType):
            return _Module(value)
        return _strict(value) if callable(value) and not isinstance(value, type) else value

    @staticmethod
    def bincount(*args, **kwargs):
        raise AssertionError('looks for the least and the largest value, which makes a GPU wait')

    @staticmethod
    def flatnonzero(*args, **kwargs):
        raise AssertionError('looks how many there are, which makes a GPU wait')

    @staticmethod
    def asarray(value, dtype=None):
        """From the host to the device."""
        value = value._array if isinstance(value, StrictArray) else value
        return StrictArray(np.array(value, dtype=dtype))


xp = _Module(np)


class Device:
    """What `chainer.backend.Device` gives to our code."""

    xp = xp

    @staticmethod
    def send(array):
        return xp.asarray(array)
