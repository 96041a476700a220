"""Max and average pooling of images ``(N, C, H, W)``."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from chainer.functions.pooling.average_pooling_2d import AveragePooling2D, AveragePooling2DGrad
from chainer.functions.pooling.max_pooling_nd import MaxPoolingND, MaxPoolingNDGrad

from chainer_onednn import arrays, dnnl, elementwise, graph, kernels, pending, threads
from chainer_onednn.hints import Array, Arrays, Inputs, Original, Shape, Variables
from chainer_onednn.linear import matmul
from chainer_onednn.replace import replaces
from chainer_onednn.windows import output_size, right_padding


class Windows(NamedTuple):
    """Shapes of input and output, and where the windows are."""

    x: Shape
    y: Shape
    kernel: Shape
    stride: Shape
    pad: Shape

    @property
    def miss_the_image(self) -> bool:
        """Is there a window that holds nothing but padding?"""
        return any(
            pad >= kernel or (out - 1) * stride - pad >= size
            for out, stride, kernel, size, pad in zip(
                self.y[2:], self.stride, self.kernel, self.x[2:], self.pad, strict=True
            )
        )

    @property
    def arguments(self) -> tuple[Shape, ...]:
        """Strides, kernel, dilations and paddings as oneDNN wants them."""
        right = right_padding(self.x[2:], self.y[2:], self.kernel, self.stride, self.pad)
        return self.stride, self.kernel, (0, 0), self.pad, right

    @property
    def sizes(self) -> Shape:
        """Images, height, width, channels, height and width of what comes out: for our kernels."""
        n, c, h, w = self.x
        return n, h, w, c, *self.y[2:]

    @property
    def numbers(self) -> Array:
        """Kernel, stride and padding, for our kernels; int32 (6,)."""
        return np.array((*self.kernel, *self.stride, *self.pad), np.int32)


def _windows(
    x_shape: Shape,
    kernel: Sequence[int],
    stride: Sequence[int],
    pad: Sequence[int],
    cover_all: bool,
) -> Windows:
    size = output_size(x_shape[2:], kernel, stride, pad, cover_all=cover_all)
    return Windows(x_shape, (*x_shape[:2], *size), tuple(kernel), tuple(stride), tuple(pad))


# ---- the largest ---------------------------------------------------------------------------------


@replaces(MaxPoolingND, 'apply')
def apply_max(original: Original, self: MaxPoolingND, inputs: Inputs) -> Variables:
    variables = graph.inputs_of(self, inputs)
    if variables is None or not kernels.available() or type(self) is not MaxPoolingND:
        return original(self, inputs)
    (x,) = variables
    if x.ndim != 4 or x.dtype != arrays.FLOAT32 or self.ndim != 2 or self.return_indices:
        return original(self, inputs)
    windows = _windows(x.shape, self.ksize, self.stride, self.pad, self.cover_all)
    if windows.miss_the_image or math.prod(windows.kernel) > _CODES or not x.size:
        return original(self, inputs)
    rectified, source, normal = _what_is_pooled(x)
    if not arrays.is_float32(source):
        return original(self, inputs)
    y = arrays.empty(windows.y)
    codes = np.empty(y.size, np.uint8)
    kernels.function('max_pool', 'pllllllppppipp')(
        *(arrays.ours(source), *windows.sizes, windows.numbers, *normal),
        *(rectified is not None, y, codes),
    )
    self._in_shape, self._in_dtype = x.shape, arrays.FLOAT32
    self._onednn, self._masks = (windows, codes), rectified
    return graph.connect(self, variables, (y,))


_CODES = 128  # largest window of the kernel; CLOSED in max_pool.c


def _what_is_pooled(x: Any) -> tuple[pending.Rectified | None, Any, tuple[Any, Any, Any]]:
    """The work of the ReLU in front, or None; an array; mean, scale and shift of its channels."""
    rectified, nothing = pending.work_of(x), (None, None, None)
    if not isinstance(rectified, pending.Rectified):
        return None, x.array, nothing
    source = rectified.source
    if isinstance(source, pending.Normalized) and (array := source.x) is not None:
        return rectified, array, (source.mean, source.scale, source.shift)
    if isinstance(source, np.ndarray):
        return rectified, source, nothing
    return None, x.array, nothing


@replaces(MaxPoolingND, 'backward')
def max_pooling_backward(
    original: Original, self: MaxPoolingND, indexes: tuple[int, ...], grad_outputs: Variables
) -> Variables:
    gradients = original(self, indexes, grad_outputs)
    if _is_masked(self):
        gradients[0].__dict__['_masked_by'] = self._masks
    return gradients


def _is_masked(function: Any) -> bool:
    """Does only the ReLU in front see the gradient, so that it may be masked for it?"""
    rectified = getattr(function, '_masks', None)
    if rectified is None or not graph.is_walking():
        return False
    relu = function.inputs[0].creator_node
    known = relu is not None and vars(relu).get('_work') is rectified
    return known and not relu._n_local_function_hooks


@replaces(MaxPoolingND, 'forward_cpu')
def max_pooling(original: Original, self: MaxPoolingND, inputs: Arrays) -> Arrays:
    (x,) = inputs
    self._onednn = None
    if self.ndim != 2 or self.return_indices or not arrays.is_float32(x) or kernels.available():
        return original(self, inputs)
    windows = _windows(x.shape, self.ksize, self.stride, self.pad, self.cover_all)
    if windows.miss_the_image:  # their maximum is -inf, which oneDNN does not know
        return original(self, inputs)
    run = _forward(windows, dnnl.POOLING_MAX)
    x = arrays.ours(x)
    if not _all_finite(x):  # oneDNN's maximum loses NaN and -inf
        return original(self, inputs)
    y = arrays.empty(windows.y)
    indexes = dnnl.aligned_empty(run.layouts[dnnl.WORKSPACE].nbytes)
    run(x, y, indexes)
    self._in_shape, self._in_dtype = x.shape, x.dtype
    self._onednn = windows, indexes
    return (y,)


class _Indexes:
    """``function.indexes``: Chainer's numbering of the maxima, made where somebody wants it.

    An attribute of the instance, which Chainer's own forward pass sets, goes before this one.
    """

    def __get__(self, function: Any, owner: Any = None) -> Array:
        if function is None or getattr(function, '_onednn', None) is None:
            raise AttributeError('indexes')
        windows, indexes = function._onednn
        n, c, h, w = windows.y
        numbers = indexes.view(np.uint8 if indexes.size == math.prod(windows.y) else np.int32)
        if kernels.available():
            # Of a maximum that the ReLU made zero, the first zero: the window's first pixel.
            rows, columns = (
                np.maximum(pad - stride * np.arange(size), 0)
                for pad, stride, size in zip(windows.pad, windows.stride, (h, w), strict=True)
            )
            first = rows[:, None] * windows.kernel[1] + columns
            numbers = numbers.reshape(n, h, w, c)
            numbers = np.where(numbers >= _CODES, first[:, :, None], numbers)
        return np.ascontiguousarray(numbers.reshape(n, h, w, c).transpose(0, 3, 1, 2), np.int64)


# Not among the replacements: a graph may be used after the engine is disabled.
MaxPoolingND.indexes = _Indexes()


@replaces(MaxPoolingNDGrad, 'forward_cpu')
def max_pooling_gradient(original: Original, self: MaxPoolingNDGrad, inputs: Arrays) -> Arrays:
    (gy,) = inputs
    if getattr(self.func, '_onednn', None) is None or not arrays.is_float32(gy):
        return original(self, inputs)
    windows, indexes = self.func._onednn
    unmasked = getattr(self.func, '_masks', None) is not None and not _is_masked(self.func)
    if gy.shape != windows.y or unmasked:
        return original(self, inputs)
    gx = arrays.empty(windows.x)
    if kernels.available():
        _, channels, _, width = windows.x
        kernels.function('max_pool_backward', 'pllllllpppp')(
            *(arrays.ours(gy), *windows.sizes, windows.numbers, indexes, gx),
            dnnl.scratch(4 * width * channels * threads.count()),
        )
    else:
        _backward(windows, dnnl.POOLING_MAX)(arrays.ours(gy), gx, indexes)
    return (gx,)


# ---- the mean ------------------------------------------------------------------------------------


@replaces(AveragePooling2D, 'forward_cpu')
def average_pooling(original: Original, self: AveragePooling2D, inputs: Arrays) -> Arrays:
    (x,) = inputs
    if not arrays.is_float32(x):
        return original(self, inputs)
    windows = _windows(x.shape, (self.kh, self.kw), (self.sy, self.sx), (self.ph, self.pw), False)
    run = _forward(windows, dnnl.POOLING_AVERAGE)
    y = arrays.empty(windows.y)
    run(arrays.ours(x), y)
    self._in_shape, self._in_dtype = x.shape, x.dtype
    return (y,)


@replaces(AveragePooling2DGrad, 'forward_cpu')
def average_pooling_gradient(
    original: Original, self: AveragePooling2DGrad, inputs: Arrays
) -> Arrays:
    (gy,) = inputs
    if not arrays.is_float32(gy) or self._in_dtype != arrays.FLOAT32:
        return original(self, inputs)
    windows = _windows(
        self._in_shape, (self.kh, self.kw), (self.sy, self.sx), (self.ph, self.pw), False
    )
    if gy.shape != windows.y:
        return original(self, inputs)
    run = _backward(windows, dnnl.POOLING_AVERAGE)
    gx = arrays.empty(windows.x)
    run(arrays.ours(gy), gx)
    return (gx,)


def _all_finite(x: Array) -> bool:
    # A sum over the memory is finite unless an element is not (or the sum overflows, which costs
    # time only). The matrix product is the fastest way to sum.
    (flat,) = elementwise.flat(x)
    columns = math.gcd(flat.size, 4096)
    sums = np.empty((flat.size // columns, 1), np.float32)
    matmul(flat.reshape(-1, columns), np.ones((columns, 1), np.float32), sums)
    return bool(np.isfinite(sums).all())


@dnnl.cached
def _forward(windows: Windows, kind: int) -> dnnl.Primitive:
    x, y = arrays.layout(windows.x), arrays.layout(windows.y)
    workspace = {dnnl.WORKSPACE: None} if kind == dnnl.POOLING_MAX else {}
    return dnnl.Primitive(
        'pooling_forward',
        dnnl.FORWARD,
        kind,
        x,
        y,
        *windows.arguments,
        layouts={dnnl.SRC: x, dnnl.DST: y, **workspace},
    )


@dnnl.cached
def _backward(windows: Windows, kind: int) -> dnnl.Primitive:
    x, y = arrays.layout(windows.x), arrays.layout(windows.y)
    workspace = {dnnl.WORKSPACE: None} if kind == dnnl.POOLING_MAX else {}
    return dnnl.Primitive(
        'pooling_backward',
        kind,
        x,
        y,
        *windows.arguments,
        _forward(windows, kind),
        layouts={dnnl.DIFF_DST: y, dnnl.DIFF_SRC: x, **workspace},
    )
