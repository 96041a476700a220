"""Read a pickle of arrays from an unknown source without running anything in it.

The CIFAR archives and the files of the original project are pickles, and a pickle is a program:
even with `find_class` locked, one can make `pickle.load` crash the interpreter (a tuple nested
400,000 deep as a key) or take gigabytes of memory (an eight-byte file). So this module interprets
the opcodes that make dictionaries of arrays, and refuses all others. It imports and calls nothing:
it collects an array as dtype, shape, order and bytes, checks them all, and then builds the array.

It reads the dictionaries of text, numbers, lists, tuples and NumPy arrays (of NumPy 1 or 2) that
`pickle` of Python 2 (protocol 2) and Python 3 (protocols 2 to 5) writes.
"""

import contextlib
import io
import math
import os
import pickle
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from chainer_cifar.arrays import Array
from chainer_cifar.errors import UserError
from chainer_cifar.files import open_bytes

MOST = 5_000_000  # opcodes; a batch of CIFAR-100 has 400,000, and each may take 100 bytes of memory
_DTYPES = ('u1', 'u2', 'u4', 'u8', 'i1', 'i2', 'i4', 'i8', 'f2', 'f4', 'f8')


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the dictionary in the pickle `path`, with read-only arrays.

    A `str` of Python 2 comes back as str (latin-1).

    Raises:
        UserError: The file is missing, damaged, or holds anything but plain data.
    """
    latin1 = _Latin1()
    functions = {**_GLOBALS, '_codecs.encode': latin1.called}
    with one_line(path, 'pickle of arrays'), open_bytes(path) as file:
        value = Machine(file, functions).run()
        if type(value) is not dict:
            raise ValueError('it does not hold a dictionary')
        for key in value:
            if type(value[key]) is _Array:
                value[key] = value[key].build_array(latin1)
        return value


@contextlib.contextmanager
def one_line(path: str | os.PathLike[str], kind: str) -> Iterator[None]:
    """Turn any error that a missing, damaged or hostile file causes in the block into a UserError.

    Args:
        path: The file.
        kind: What it should be, such as ``pickle of arrays``.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}; fetch or make it again') from None
    except Refused as error:
        message = (
            f'{path}: refused: {error}; it is not a file of plain arrays; fetch or make it again'
        )
        raise UserError(message) from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # Anything that a damaged program does to the stack ends in one of these.
        raise UserError(
            f'{path}: not a readable {kind} ({error}); fetch or make it again'
        ) from None


class Refused(Exception):
    """The pickle asks for something that data does not need."""


class _Latin1:
    """Encodes text. The same text, to which a pickle may point many times, is encoded once."""

    def __init__(self) -> None:
        self._encoded: dict[str, bytes] = {}

    def __call__(self, text: str) -> bytes:
        if text not in self._encoded:
            self._encoded[text] = text.encode('latin-1')
        return self._encoded[text]

    def called(self, text: object, encoding: object) -> bytes:
        """Do what Python 3 calls to read the bytes that it wrote in protocol 2."""
        if encoding != 'latin1':
            raise Refused('it asks for another encoding than latin1')
        if type(text) is not str:
            raise ValueError('it encodes what is no text')
        return self(text)


class _Dtype:
    __slots__ = 'byte_order', 'name'

    def __init__(self, name: object, *flags: object) -> None:
        self.name = name
        self.byte_order: object = '='

    def set_state(self, state: Any) -> None:
        _, self.byte_order, *_ = state


class _Array:
    """The arguments with which `pickle` makes an ndarray; `build_array` checks them and makes it.

    They are whatever a damaged or hostile file holds.
    """

    __slots__ = 'data', 'dtype', 'order', 'shape'

    def __init__(
        self, data: Any = b'', dtype: Any = None, shape: Any = (0,), order: Any = 'C'
    ) -> None:
        self.data, self.dtype, self.shape, self.order = data, dtype, shape, order

    def set_state(self, state: Any) -> None:
        _, self.shape, self.dtype, fortran, self.data = state
        self.order = 'F' if fortran else 'C'

    def build_array(self, latin1: Callable[[str], bytes]) -> Array:
        data, dtype, shape = self.data, self.dtype, self.shape
        if type(data) is str:  # a Python-2 string of less than 256 bytes
            data = latin1(data)
        if type(dtype) is not _Dtype or type(data) is not bytes or self.order not in ('C', 'F'):
            raise ValueError('an array is malformed')
        if dtype.name not in _DTYPES or dtype.byte_order not in ('<', '>', '=', '|'):
            raise ValueError('an array is not of a numeric dtype')
        dtype = np.dtype(dtype.byte_order + dtype.name)
        # A few small numbers, so that their product is quick to compute.
        if type(shape) is not tuple or len(shape) > 8 or not all(_is_count(n) for n in shape):
            raise ValueError('the shape of an array is malformed')
        if math.prod(shape) * dtype.itemsize != len(data):
            raise ValueError(f'{len(data)} bytes do not fill an array of shape {shape}')
        return np.frombuffer(data, dtype).reshape(shape, order=self.order)


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**48


def _reconstruct(subtype: object, shape: object, typecode: object) -> _Array:
    return _Array()


_GLOBALS: dict[str, Callable[..., object] | None] = {
    'numpy.ndarray': None,  # never called, only an argument of _reconstruct
    'numpy.dtype': _Dtype,
    'numpy.core.multiarray._reconstruct': _reconstruct,
    'numpy._core.multiarray._reconstruct': _reconstruct,
    'numpy.core.numeric._frombuffer': _Array,
    'numpy._core.numeric._frombuffer': _Array,
}


class Machine:
    """The stack machine of `pickle` with the opcodes of plain data (see `pickletools`).

    Args:
        file: A seekable file, which is read from its position to the end of one pickle.
        functions: Maps the dotted name of a global to its replacement here.
        persistent: Turns a persistent id into what it stands for; None refuses such ids.
    """

    def __init__(
        self,
        file: BinaryIO,
        functions: Mapping[str, object],
        persistent: Callable[[Any], object] | None = None,
    ) -> None:
        self.file = file
        start = file.tell()
        self.left = file.seek(0, io.SEEK_END) - start
        file.seek(start)
        self.functions = functions
        self.persistent = persistent
        # Objects of any type, as the program says; what does not fit raises an error.
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below each open mark
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> bytes:
        # Checked before reading, so that a wild length takes no memory.
        if count > self.left:
            raise ValueError('it ends too early')
        self.left -= count
        return self.file.read(count)

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), 'little', signed=signed)

    def text(self, size_bytes: int) -> str:
        return str(self.take(self.number(size_bytes)), 'utf-8')

    def line(self) -> str:
        line = self.file.readline(min(self.left, 256))
        self.left -= len(line)
        return str(line, 'ascii').rstrip('\n')

    def close_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def find_global(self, module: object, name: object) -> object:
        # Other types may be lists nested so deep that their text has no end.
        if type(module) is not str or type(name) is not str:
            raise ValueError('a name is not text')
        try:
            return self.functions[f'{module}.{name}']
        except KeyError:
            raise Refused(f'it asks for {ascii(f"{module}.{name}")[:80]}') from None

    def set_items(self, items: list[Any]) -> None:
        if len(items) % 2 or not all(type(key) is str for key in items[::2]):
            raise ValueError('a dictionary has keys that are not text')
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def pop(self, count: int) -> list[Any]:
        if count > len(self.stack):
            raise ValueError('its stack runs empty')
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def run(self) -> Any:
        """Run the program and return the value that it ends with."""
        for _ in range(MOST):
            opcode = self.take(1)
            if opcode == pickle.STOP:
                return self.stack[-1]
            self.step(opcode)
        raise ValueError(f'it has more than {MOST:,} parts')

    def step(self, opcode: bytes) -> None:
        """Do what one opcode says."""
        push = self.stack.append
        match opcode:
            # Python-2 str; one of 256 bytes or more is the content of an array, never text.
            case pickle.SHORT_BINSTRING:
                push(str(self.take(self.number(1)), 'latin-1'))
            case pickle.BINSTRING | pickle.BINBYTES:
                push(self.take(self.number(4)))
            case pickle.SHORT_BINBYTES:
                push(self.take(self.number(1)))
            case pickle.BINBYTES8 | pickle.BYTEARRAY8:
                push(self.take(self.number(8)))
            case pickle.SHORT_BINUNICODE:
                push(self.text(1))
            case pickle.BINUNICODE:
                push(self.text(4))
            case pickle.BINUNICODE8:
                push(self.text(8))

            case pickle.BININT1:
                push(self.number(1))
            case pickle.BININT2:
                push(self.number(2))
            case pickle.BININT:
                push(self.number(4, signed=True))
            case pickle.LONG1:
                push(self.number(self.number(1), signed=True))
            case pickle.BINFLOAT:
                push(struct.unpack('>d', self.take(8))[0])
            case pickle.NONE:
                push(None)
            case pickle.NEWTRUE:
                push(True)
            case pickle.NEWFALSE:
                push(False)

            case pickle.BINPUT:
                self.memo[self.number(1)] = self.stack[-1]
            case pickle.LONG_BINPUT:
                self.memo[self.number(4)] = self.stack[-1]
            case pickle.MEMOIZE:
                self.memo[len(self.memo)] = self.stack[-1]
            case pickle.BINGET:
                push(self.memo[self.number(1)])
            case pickle.LONG_BINGET:
                push(self.memo[self.number(4)])

            case pickle.MARK:
                self.outer.append(self.stack)
                self.stack = []
            case pickle.EMPTY_TUPLE:
                push(())
            case pickle.TUPLE1:
                push(tuple(self.pop(1)))
            case pickle.TUPLE2:
                push(tuple(self.pop(2)))
            case pickle.TUPLE3:
                push(tuple(self.pop(3)))
            case pickle.TUPLE:
                items = self.close_mark()
                self.stack.append(tuple(items))
            case pickle.EMPTY_LIST:
                push([])
            case pickle.APPEND:
                items = self.pop(1)
                self.stack[-1].extend(items)
            case pickle.APPENDS:
                items = self.close_mark()
                self.stack[-1].extend(items)
            case pickle.EMPTY_DICT:
                push({})
            case pickle.SETITEM:
                self.set_items(self.pop(2))
            case pickle.SETITEMS:
                self.set_items(self.close_mark())

            case pickle.GLOBAL:
                push(self.find_global(self.line(), self.line()))
            case pickle.STACK_GLOBAL:
                push(self.find_global(*self.pop(2)))
            case pickle.REDUCE:
                function, arguments = self.pop(2)
                push(function(*arguments))
            case pickle.BUILD:
                (state,) = self.pop(1)
                self.stack[-1].set_state(state)
            case pickle.BINPERSID if self.persistent:
                push(self.persistent(*self.pop(1)))

            case pickle.PROTO:
                self.take(1)
            case pickle.FRAME:
                self.take(8)
            case _:
                raise Refused(f'opcode {opcode!r}')
