"""Types of arrays, for signatures.

CuPy's arrays have the methods of NumPy's and no types of their own, so mypy checks them as NumPy's.
"""

from types import ModuleType
from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]  # of any dtype, on the CPU or a GPU
ArrayModule: TypeAlias = ModuleType  # numpy or cupy; the argument `xp`
