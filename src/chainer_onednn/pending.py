"""Arrays that are computed when somebody looks at them, together with what comes next.

``F.relu(bn(x) + y)`` is three functions and, done one by one, three passes over the memory. So a
normalization, a sum and a ReLU return a `Pending` variable: it holds a *work*, which says what is
to be done with which arrays, and no result. A function that knows works (the sum, the ReLU, max
pooling; on the way back the ReLU and the normalization) takes the work of its input and does all in
one pass. To everybody else it is an ordinary variable: who looks at its array makes it be computed
at that moment.

Invariants:

* A work is done at most once; its `result` is the same array ever after.
* A variable is of the class `Pending` as long as nobody has looked at its array, and an ordinary
  `chainer.Variable` from then on, for ever.
* A work refers to arrays that Chainer's functions made, within a graph (`is_ours`) or a backward
  pass; what a user gave may be a buffer with other contents soon. Small vectors that an optimizer
  changes are copied.
* Nothing is pending in debug mode or under function hooks, where every array is looked at.
* Python's threads may share variables: only one at a time computes or replaces what is pending.
"""

import functools
import math
import os
import threading
from typing import Any, TypeAlias, Union

import chainer
import numpy as np

from chainer_onednn import arrays, dnnl, elementwise, kernels, threads
from chainer_onednn.hints import Array, Shape

ON = True  # may anything be pending? The benchmark tells what it gains.


_computing = threading.RLock()


def _forget_after_fork() -> None:
    global _computing
    _computing = threading.RLock()  # a thread that held it is not in this process


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget_after_fork)


# What a work starts from: an array, or the result of another work.
Source: TypeAlias = Union[Array, 'Work']
Affine: TypeAlias = tuple[Array, Array]  # scale and shift, a number of each for every channel


class Work:
    """What has to be done to get an array; `write` does it.

    Attributes:
        shape: The shape of the array, which is float32.
    """

    done: Array | None = None  # the result, once somebody has looked

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def result(self) -> Array:
        """The array; computed now unless it has been."""
        with _computing:
            if self.done is None:
                y = arrays.empty(self.shape)
                self.write(y, relu=False)
                self.done = y
                self.forget()
            return self.done

    def write(self, y: Array, relu: bool) -> None:
        """Write the result, or ``relu(result)``, into an array of `arrays.empty`."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drop what is of no more use."""


def _now(source: Source) -> Any:
    """What a work is to be computed from: the result of another one, if it is there."""
    return source.done if isinstance(source, Work) and source.done is not None else source


class Normalized(Work):
    """``(x - mean) * scale + shift``, a number of each for every channel.

    Attributes:
        affine: scale and shift. The very tuple tells whose output a ReLU has rectified, and keeps
            no array of that size alive.
    """

    def __init__(self, x: Array, mean: Array, scale: Array, shift: Array) -> None:
        super().__init__(x.shape)
        self.x: Any = x  # an array; None after `forget`, as below
        self.mean, self.scale, self.shift = mean, scale, shift
        self.affine: Affine = scale, shift

    def write(self, y: Array, relu: bool, other: Array | None = None) -> None:
        x = self.x
        channels = x.shape[1]
        kernels.function('bn_forward', 'pllppppipp')(
            *(x, x.size // channels, channels, self.mean, self.scale, self.shift, other, relu, y),
            scratch_for(channels),
        )

    def forget(self) -> None:
        self.x = None


class Sum(Work):
    """``a + b``: arrays of one shape and order of memory; a may be a `Normalized`."""

    def __init__(self, a: Source, b: Array) -> None:
        super().__init__(b.shape)
        self.a: Any = a
        self.b: Any = b

    def write(self, y: Array, relu: bool) -> None:
        a = _now(self.a)
        if isinstance(a, Normalized):
            a.write(y, relu, self.b)
        else:
            elementwise.by_kernel('add_relu' if relu else 'add', a, self.b, y)

    def forget(self) -> None:
        self.a = self.b = None


class Rectified(Work):
    """``relu(source)``, of a work or an array."""

    def __init__(self, source: Source) -> None:
        super().__init__(source.shape)
        self.source: Any = source
        self.affine = source.affine if isinstance(source, Normalized) else None

    def write(self, y: Array, relu: bool) -> None:
        source = _now(self.source)
        if isinstance(source, Work):
            source.write(y, relu=True)
        else:
            elementwise.by_kernel('relu', source, y)

    def forget(self) -> None:
        self.source = None


class Masked(Work):
    """The gradient of a ReLU's input: ``gy * (y > 0)``.

    Args:
        gy: The gradient of its output, an array or a `Sum`.
        rectified: y.
    """

    def __init__(self, gy: Source, rectified: Rectified) -> None:
        super().__init__(gy.shape)
        self.gy: Any = gy
        self.rectified: Any = rectified

    def write(self, y: Array, relu: bool) -> None:
        of, gy = self.rectified.result(), _now(self.gy)
        if isinstance(gy, Sum):
            elementwise.by_kernel('relu_gradient_of_sum', of, gy.a, gy.b, y)
        else:
            elementwise.by_kernel('relu_gradient', of, gy, y)

    def forget(self) -> None:
        self.gy = self.rectified = None


class Pending(chainer.Variable):
    """A variable whose array nobody has looked at yet; made by `make_pending`."""

    @property
    def _data(self) -> Any:  # all of chainer.Variable reads the array through this list
        with _computing:
            if '_work' in self.__dict__:  # no other thread was faster
                self._data = [self.__dict__['_work'].result()]
            return self.__dict__['_data']

    @_data.setter
    def _data(self, value: Any) -> Any:
        with _computing:
            self.__dict__['_data'] = value
            self.__class__ = chainer.Variable
            self.__dict__.pop('_work', None)

    @property
    def shape(self) -> Shape:
        work = work_of(self)
        return self.__dict__['_data'][0].shape if work is None else work.shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[np.float32]:
        return arrays.FLOAT32

    def __len__(self) -> int:
        return self.shape[0]

    def __copy__(self) -> chainer.Variable:
        self._data  # noqa: B018 - a copy of the attributes would hold the placeholder
        return chainer.Variable.__copy__(self)


@functools.lru_cache(maxsize=256)
def placeholder(shape: Shape) -> Array:
    """An array of that shape with no memory of its own, for what Chainer notes of an array."""
    return np.broadcast_to(np.float32(0), shape)


def make_pending(variable: Any, work: Work) -> chainer.Variable:
    """Let a new variable of a `placeholder` stand for what the work will give."""
    variable.__dict__['_work'] = work
    variable.__class__ = Pending
    return variable


def work_of(variable: Any) -> Work | None:
    """The work of a pending variable, else None."""
    return variable.__dict__.get('_work') if type(variable) is Pending else None


def is_ours(variable: Any) -> bool:
    """Was its array made by a function of the engine, so that nobody is likely to change it?"""
    return ON and (type(variable) is Pending or '_chainer_onednn' in variable.__dict__)


def scratch_for(channels: int) -> Array:
    """Memory that the kernels of normalization work in."""
    return dnnl.scratch(8 * threads.count() * _scratch_size(channels))


@functools.cache
def _scratch_size(channels: int) -> int:
    return kernels.function('bn_scratch', 'l', 'l')(channels)
