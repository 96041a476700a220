"""Chainer's reader of saved state, which believes nothing before it is checked."""

import chainer

# The kinds of NumPy's dtypes that stand for a value of Python.
_KINDS = {bool: 'b', int: 'iu', float: 'f', str: 'U'}


class CheckedDeserializer(chainer.serializers.NpzDeserializer):
    """Chainer's, but an array of another shape or dtype than what it replaces is a ValueError.

    Chainer would stretch a single number over a whole array, and round what is of another dtype.
    """

    def __getitem__(self, key):
        return type(self)(self.npz, f'{self.path}{key.strip("/")}/')

    def __call__(self, key, value):
        name = self.path + key.lstrip('/')
        found = self.npz[name]
        if hasattr(value, 'dtype') and getattr(value, 'ndim', 0):
            if (found.shape, found.dtype) != (value.shape, value.dtype):
                raise ValueError(
                    f'{name} is {found.dtype} {found.shape}, not {value.dtype} {value.shape}'
                )
        elif value is not None:
            kinds = next((kinds for kind, kinds in _KINDS.items() if isinstance(value, kind)), None)
            if found.ndim or found.dtype.kind not in (kinds or found.dtype.kind):
                raise ValueError(f'{name} is {found.dtype} {found.shape}, not one value')
        return super().__call__(key, value)


def require_finite(link):
    """ValueError that names the first parameter of `link` that holds NaN or infinity."""
    for name, param in link.namedparams():
        if not link.xp.isfinite(param.array).all():
            raise ValueError(f'{name[1:]} holds NaN or infinity')
