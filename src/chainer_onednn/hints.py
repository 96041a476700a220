"""Types for signatures.

mypy knows nothing of Chainer's classes, so what is a variable or a function to Chainer is any
object here; `Variables` and `Inputs` say at least how many there are.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]  # float32 where nothing else is said
Arrays: TypeAlias = tuple[Array, ...]
Inputs: TypeAlias = tuple[Any, ...]  # variables or arrays, as Chainer's functions take them
Variables: TypeAlias = tuple[Any, ...]  # chainer.Variable, or None for a gradient that is zero
Shape: TypeAlias = tuple[int, ...]
Original: TypeAlias = Callable[..., Any]  # the method of Chainer that a function of ours replaces
Run: TypeAlias = Callable[..., None]  # works on arrays, the last of which it writes
