"""Wrap oneDNN's C API in three Python objects: memory layouts, primitives, and a cache of them.

A *primitive* is one operation compiled for fixed shapes, layouts and arguments. Making one costs
up to milliseconds, calling one some microseconds beside the work itself, so `cached` keeps them.
All names are those of oneDNN's own documentation.
"""

import ctypes
import dataclasses
import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from chainer_onednn import library, memory
from chainer_onednn.hints import Array, Shape

T = TypeVar('T')

_LIMIT = 4096  # primitives a thread keeps; a training run of the deepest net needs some hundreds

# <oneapi/dnnl/dnnl_types.h>, unchanged since oneDNN 3.0
FORWARD, INFERENCE, BACKWARD = 64, 96, 128
CONVOLUTION_DIRECT = 1
POOLING_MAX, POOLING_AVERAGE = 0x1FF, 0x2FF  # the average counts the padding, as Chainer's does
ELTWISE_GELU_ERF = 0x31
BINARY_ADD, BINARY_MUL, BINARY_MAX, BINARY_LT = 0x1FFF0, 0x1FFF1, 0x1FFF2, 0x1FFF9
USE_GLOBAL_STATS, USE_SCALE, USE_SHIFT = 1, 2, 4
SRC, SRC_1, DST, WEIGHTS, BIAS, MEAN, VARIANCE, SCALE, SHIFT, WORKSPACE = (
    1, 2, 17, 33, 41, 49, 50, 51, 52, 64,
)  # fmt: skip
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS, DIFF_SCALE, DIFF_SHIFT = 129, 145, 161, 169, 255, 256
MULTIPLE_SRC = 1024
POST_OP_SRC_1 = 32768 | SRC_1  # DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1
ENGINE = object()  # stands for the CPU engine among the arguments of `Primitive`

_QUERY_MD = {
    SRC: 129, DIFF_SRC: 130, WEIGHTS: 131, DIFF_WEIGHTS: 132, DST: 133, DIFF_DST: 134,
    WORKSPACE: 135,
}  # fmt: skip
_QUERY_IMPLEMENTATION = 8
_F32 = 3
_ANY = 1  # dnnl_format_tag_any: the primitive chooses
_STATUS = {1: 'out of memory', 2: 'invalid arguments', 3: 'unimplemented', 5: 'runtime error'}


class Unsupported(Exception):
    """oneDNN has no implementation for this; use Chainer's own."""


class _Library:
    """The loaded library and its CPU engine."""

    def __init__(self) -> None:
        self.handle, self.path = library.load()
        self.engine = ctypes.c_void_p()
        if self.handle.dnnl_engine_create(ctypes.byref(self.engine), 1, ctypes.c_size_t(0)):
            raise library.Unavailable(f'{self.path} makes no CPU engine')

    def check(self, status: int, what: str = 'oneDNN') -> None:
        if status == 0:
            return
        reason = _STATUS.get(status, f'status {status}')
        raise Unsupported(f'{what}: {reason}')


@functools.cache
def onednn() -> _Library:
    """Return the library, loaded at first use.

    Raises:
        chainer_onednn.library.Unavailable: It cannot be loaded.
    """
    return _Library()


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.stream = ctypes.c_void_p()
        dnnl = onednn()
        _use_whole_teams(dnnl.handle)
        dnnl.check(dnnl.handle.dnnl_stream_create(ctypes.byref(self.stream), dnnl.engine, 1))
        self.caches: dict[Any, Any] = {}  # by the function that creates and its arguments
        self._scratch = aligned_empty(0)

    def scratch(self, nbytes: int) -> Array:
        """Return memory for use within one call; all calls share one block."""
        if self._scratch.size < nbytes:
            self._scratch = aligned_empty(nbytes)
        return self._scratch


_per_thread: _PerThread | None = None
_abandoned: list[_PerThread | None] = []


def _use_whole_teams(openmp: Any) -> None:
    # oneDNN plans for omp_get_max_threads(). Where OpenMP gives it fewer, as OMP_THREAD_LIMIT and
    # OMP_DYNAMIC may have it do, it leaves out what the others should have done, or waits for ever.
    openmp.omp_set_dynamic(0)
    limit = openmp.omp_get_thread_limit()
    if openmp.omp_get_max_threads() > limit:
        openmp.omp_set_num_threads(limit)


def thread_count() -> int:
    """Return how many threads oneDNN uses when this thread calls it."""
    _thread().stream  # noqa: B018 - where there is one, what OpenMP says is true
    count: int = onednn().handle.omp_get_max_threads()
    return count


def _thread() -> _PerThread:
    global _per_thread
    if _per_thread is None:
        _per_thread = _PerThread()
    return _per_thread


def _forget_after_fork() -> None:
    # GNU OpenMP's threads do not survive a fork, and the first parallel region of the child would
    # wait for them for ever. With one thread it needs none. Primitives are compiled for a number of
    # threads, so the child makes new ones.
    global _per_thread
    _abandoned.append(_per_thread)  # other threads' primitives must not be destroyed by this one
    _per_thread = None
    if onednn.cache_info().currsize:
        onednn().handle.omp_set_num_threads(1)


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget_after_fork)


def scratch(nbytes: int) -> Array:
    """Return memory of this thread, uint8, at least `nbytes`, which begins at a cache line.

    It is free until the next call of a function that works in it.
    """
    return _thread().scratch(nbytes)


def forget() -> None:
    """Drop what `cached` keeps for this thread."""
    _thread().caches.clear()


@dataclasses.dataclass(frozen=True)
class _Refusal:
    """In place of what oneDNN does not do."""

    reason: str


def cached(create: Callable[..., T]) -> Callable[..., T]:
    """Decorate ``create(*key)``: keep its result, or that it is unsupported, for each thread.

    Primitives hold the addresses of the arrays they work on while they run, so no two threads may
    share one.
    """

    @functools.wraps(create)
    def get(*key: Any) -> T:
        caches = _thread().caches
        try:
            found = caches[create, key]
        except KeyError:
            if len(caches) >= _LIMIT:
                caches.clear()
            try:
                found = create(*key)
            except Unsupported as reason:
                # Not itself: raised again and again, it would keep all the frames that it went
                # through, and the arrays in them.
                found = _Refusal(str(reason))
            caches[create, key] = found
        if isinstance(found, _Refusal):
            raise Unsupported(found.reason)
        return found

    return get


class Layout:
    """A oneDNN memory descriptor: shape, and where each element lies.

    Args:
        shape: Logical shape; for images ``(N, C, H, W)``.
        strides: Strides in elements; None leaves the choice to the primitive.
    """

    def __init__(self, shape: Shape, strides: Sequence[int] | None = None) -> None:
        self.handle = ctypes.c_void_p()
        dnnl = onednn()
        self._destroy = dnnl.handle.dnnl_memory_desc_destroy
        head = (ctypes.byref(self.handle), len(shape), _to_c(tuple(shape)), _F32)
        if strides is None:
            status = dnnl.handle.dnnl_memory_desc_create_with_tag(*head, _ANY)
        else:
            status = dnnl.handle.dnnl_memory_desc_create_with_strides(*head, _to_c(tuple(strides)))
        dnnl.check(status, f'layout {shape} {strides}')

    @classmethod
    def chosen_by(cls, descriptor: ctypes.c_void_p, index: int) -> 'Layout':
        """Return the layout that a primitive has chosen for an argument."""
        dnnl = onednn()
        query = dnnl.handle.dnnl_primitive_desc_query_md
        query.restype = ctypes.c_void_p
        found = ctypes.c_void_p(query(descriptor, _QUERY_MD[index], 0))
        if not found:
            raise Unsupported(f'argument {index} is not used')
        layout = cls.__new__(cls)
        layout.handle = ctypes.c_void_p()
        layout._destroy = dnnl.handle.dnnl_memory_desc_destroy
        dnnl.check(dnnl.handle.dnnl_memory_desc_clone(ctypes.byref(layout.handle), found))
        return layout

    def __del__(self) -> None:
        if self.handle:
            self._destroy(self.handle)

    @property
    def nbytes(self) -> int:
        size = onednn().handle.dnnl_memory_desc_get_size
        size.restype = ctypes.c_size_t
        return size(self.handle)

    def equals(self, other: 'Layout') -> bool:
        return bool(onednn().handle.dnnl_memory_desc_equal(self.handle, other.handle))


class _Argument(ctypes.Structure):
    _fields_ = (('index', ctypes.c_int), ('memory', ctypes.c_void_p))


class Primitive:
    """One compiled operation.

    Args:
        name: The name in ``dnnl_<name>_primitive_desc_create``.
        *arguments: What that function takes between the new descriptor and the attributes; the
            engine is put first where `ENGINE` is not among them.
        layouts: The layout of each argument of the execution by its index; None if the primitive
            has chosen it. A call takes arrays in this order.
        attributes: A handle from `post_op`, which is used up, or None.

    Raises:
        Unsupported: oneDNN does not do this.
    """

    def __init__(
        self,
        name: str,
        *arguments: Any,
        layouts: Mapping[int, Layout | None],
        attributes: ctypes.c_void_p | None = None,
    ) -> None:
        self._owned = []  # what to destroy, and by which function
        dnnl = onednn()
        self.name = name
        self._run = dnnl.handle.dnnl_primitive_execute
        self._set = dnnl.handle.dnnl_memory_set_data_handle
        self._stream = _thread().stream
        self.descriptor, self._primitive = ctypes.c_void_p(), ctypes.c_void_p()
        if not any(argument is ENGINE for argument in arguments):
            arguments = (ENGINE, *arguments)
        create = getattr(dnnl.handle, f'dnnl_{name}_primitive_desc_create')
        dnnl.check(
            create(ctypes.byref(self.descriptor), *map(_to_c, arguments), attributes),
            name,
        )
        if attributes is not None:
            dnnl.handle.dnnl_primitive_attr_destroy(attributes)
        self._owned.append((dnnl.handle.dnnl_primitive_desc_destroy, self.descriptor))
        dnnl.check(
            dnnl.handle.dnnl_primitive_create(ctypes.byref(self._primitive), self.descriptor), name
        )
        self._owned.append((dnnl.handle.dnnl_primitive_destroy, self._primitive))
        self.layouts = {
            index: Layout.chosen_by(self.descriptor, index) if layout is None else layout
            for index, layout in layouts.items()
        }
        self._arguments = (_Argument * len(layouts))()
        self._memories = []
        for slot, (index, layout) in zip(self._arguments, self.layouts.items(), strict=True):
            memory = ctypes.c_void_p()
            dnnl.check(
                dnnl.handle.dnnl_memory_create(
                    ctypes.byref(memory), layout.handle, dnnl.engine, None
                ),
                name,
            )
            slot.index, slot.memory = index, memory
            self._memories.append(memory)
            self._owned.append((dnnl.handle.dnnl_memory_destroy, memory))

    def __del__(self) -> None:
        for destroy, handle in reversed(self._owned):
            destroy(handle)

    def __call__(self, *arrays: Array) -> None:
        """Run on arrays whose memory has the promised layouts; check nothing."""
        for slot, array in zip(self._memories, arrays, strict=True):
            self._set(slot, pointer(array))
        status = self._run(self._primitive, self._stream, len(self._arguments), self._arguments)
        if status:
            raise RuntimeError(f'oneDNN: {_STATUS.get(status, status)}')

    @property
    def implementation(self) -> str:
        """oneDNN's name for the code it chose, such as ``jit:avx2``."""
        name = ctypes.c_char_p()
        onednn().handle.dnnl_primitive_desc_query(
            self.descriptor, _QUERY_IMPLEMENTATION, 0, ctypes.byref(name)
        )
        return (name.value or b'').decode()


def _to_c(value: Any) -> Any:
    if value is ENGINE:
        return onednn().engine
    if isinstance(value, Layout):
        return value.handle
    if isinstance(value, Primitive):
        return value.descriptor
    if isinstance(value, float):
        return ctypes.c_float(value)
    if isinstance(value, tuple):
        return (ctypes.c_int64 * len(value))(*value)
    return value


def handles(layouts: Sequence[Layout]) -> Any:
    """Make a C array of memory descriptors."""
    return (ctypes.c_void_p * len(layouts))(*(layout.handle.value for layout in layouts))


def reorder(source: Layout, target: Layout) -> Primitive:
    """Make a primitive that copies an array from one layout to another."""
    return Primitive('reorder', source, ENGINE, target, ENGINE, layouts={SRC: source, DST: target})


class Reordered:
    """A primitive with one argument in the layout that the primitive likes best.

    Args:
        primitive: The primitive, which has chosen the layout of the argument `index`.
        index: Such as WEIGHTS (an input) or DIFF_WEIGHTS (an output).
        plain: The layout of the caller's array.
    """

    def __init__(self, primitive: Primitive, index: int, plain: Layout) -> None:
        self._primitive = primitive
        self.implementation = primitive.implementation
        self._position = list(primitive.layouts).index(index)
        chosen = primitive.layouts[index]
        self._before = self._after = None
        if not chosen.equals(plain):
            self._nbytes = chosen.nbytes
            if index < DIFF_SRC:
                self._before = reorder(plain, chosen)
            else:
                self._after = reorder(chosen, plain)

    def __call__(self, *arrays: Array) -> None:
        if not (self._before or self._after):
            self._primitive(*arrays)
            return
        plain, buffer = arrays[self._position], scratch(self._nbytes)
        inside = (*arrays[: self._position], buffer, *arrays[self._position + 1 :])
        if self._before:
            self._before(plain, buffer)
        self._primitive(*inside)
        if self._after:
            self._after(buffer, plain)


def post_op(kind: str, *arguments: Any) -> ctypes.c_void_p:
    """Make attributes with one operation, such as 'binary', fused behind the primitive's own."""
    dnnl = onednn()
    attributes, operations = ctypes.c_void_p(), ctypes.c_void_p()
    dnnl.check(dnnl.handle.dnnl_primitive_attr_create(ctypes.byref(attributes)))
    dnnl.check(dnnl.handle.dnnl_post_ops_create(ctypes.byref(operations)))
    append = getattr(dnnl.handle, f'dnnl_post_ops_append_{kind}')
    dnnl.check(append(operations, *map(_to_c, arguments)), kind)
    dnnl.check(dnnl.handle.dnnl_primitive_attr_set_post_ops(attributes, operations))
    dnnl.handle.dnnl_post_ops_destroy(operations)
    return attributes


def _pointer_by_protocol(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.__array_interface__['data'][0])


def _pointer_by_object(array: Array) -> ctypes.c_void_p:
    # The pointer to the memory is the first field of an ndarray, behind what every object has.
    return ctypes.c_void_p.from_address(id(array) + _HEAD)


_HEAD = object.__basicsize__


def _choose_pointer() -> Callable[[Array], ctypes.c_void_p]:
    # A step needs thousands of addresses, and the protocol takes 0.8 µs for each.
    probe = np.empty(1)
    same = _pointer_by_object(probe).value == _pointer_by_protocol(probe).value
    return _pointer_by_object if same else _pointer_by_protocol


pointer = _choose_pointer()  # to an array's memory, as an argument for C; while the array lives


def address(array: Array) -> int:
    """Return where an array's memory begins: ``array.ctypes.data``."""
    return pointer(array).value or 0


def aligned_empty(nbytes: int) -> Array:
    """Make uninitialised memory, uint8, that starts at a cache line, which suits wide vectors."""
    block = np.empty(nbytes + 64, np.uint8)
    if nbytes >= memory.LARGE:
        memory.advise()
    start = -address(block) % 64
    return block[start : start + nbytes]
