"""Read saved state as Chainer does, but check its types and shapes."""

from typing import Any

import chainer

# The kinds of NumPy's dtypes that can hold a value of this type of Python's.
_KINDS: dict[type, str] = {bool: 'b', int: 'iu', float: 'f', str: 'U'}


class CheckedDeserializer(chainer.serializers.NpzDeserializer):
    """Do as Chainer's, but refuse an array with another shape or dtype than what it replaces.

    Chainer would stretch a single number over a whole array, and round values of another dtype.

    Raises:
        ValueError: An array does not fit.
    """

    def __getitem__(self, key: str) -> 'CheckedDeserializer':
        return type(self)(self.npz, f'{self.path}{key.strip("/")}/')

    def __call__(self, key: str, value: Any) -> Any:
        name = self.path + key.lstrip('/')
        found = self.npz[name]
        if hasattr(value, 'dtype') and getattr(value, 'ndim', 0) > 0:
            if (found.shape, found.dtype) != (value.shape, value.dtype):
                raise ValueError(
                    f'{name} is {found.dtype} {found.shape}, not {value.dtype} {value.shape}'
                )
        elif value is not None:
            kinds = next((kinds for kind, kinds in _KINDS.items() if isinstance(value, kind)), None)
            if found.ndim or found.dtype.kind not in (kinds or found.dtype.kind):
                raise ValueError(f'{name} is {found.dtype} {found.shape}, not one value')
        return super().__call__(key, value)


def require_finite(link: chainer.Link) -> None:
    """Raise ValueError if a parameter of `link` holds NaN or infinity, and name the first."""
    for name, param in link.namedparams():
        if not link.xp.isfinite(param.array).all():
            raise ValueError(f'{name[1:]} holds NaN or infinity')
