"""Convolution2D and Deconvolution2D: forward, and both gradients.

The gradient with respect to the input of a convolution is a deconvolution and the other way round,
in Chainer as in oneDNN, so three primitives serve both and their gradients of any order.
"""

import functools
from collections.abc import Iterable
from typing import Any

import chainer
import numpy as np
from chainer.functions.connection.convolution_2d import Convolution2DFunction, Convolution2DGradW
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction

from chainer_onednn import arrays, dnnl, first_layer, graph, moments, winograd
from chainer_onednn.hints import Array, Arrays, Original, Run, Shape, Variables
from chainer_onednn.replace import replaces
from chainer_onednn.windows import Geometry, output_size

FEW = 16  # channels: fewer do not fill a vector of every processor


def _geometry(function: Any, x: Shape, y: Shape, kernel: Iterable[int]) -> Geometry:
    return Geometry(
        x,
        y,
        tuple(kernel),
        (function.sy, function.sx),
        (function.ph, function.pw),
        (function.dy, function.dx),
        function.groups,
    )


@replaces(Convolution2DFunction, 'forward_cpu')
def convolution(original: Original, self: Convolution2DFunction, inputs: Arrays) -> Arrays:
    x, w = inputs[:2]
    fits = w.ndim == x.ndim == 4 and x.shape[1] == w.shape[1] * self.groups
    if not _usable(self, *inputs) or not fits or any(b.shape != (len(w),) for b in inputs[2:]):
        return original(self, inputs)
    size = output_size(
        x.shape[2:],
        w.shape[2:],
        (self.sy, self.sx),
        (self.ph, self.pw),
        (self.dy, self.dx),
        self.cover_all,
    )
    geometry = _geometry(self, x.shape, (len(x), len(w), *size), w.shape[2:])
    keep = not chainer.config.enable_backprop
    run = winograd.forward(geometry, keep) or _forward(geometry, len(inputs) == 3)
    y = arrays.empty(geometry.y)
    measured = {}
    if chainer.config.train and getattr(run, 'measures', False):
        self._moments = moments.Moments(y)
        measured['moments'] = self._moments.mean, self._moments.var
    vectors = map(np.ascontiguousarray, inputs[2:])
    run(arrays.ours(x), np.ascontiguousarray(w), *vectors, y, **measured)
    self.retain_inputs((0, 1))
    return (y,)


@replaces(Deconvolution2DFunction, 'forward_cpu')
def deconvolution(original: Original, self: Deconvolution2DFunction, inputs: Arrays) -> Arrays:
    y, w = inputs[:2]
    fits = w.ndim == y.ndim == 4 and y.shape[1] == len(w)
    if not _usable(self, *inputs) or not fits:
        return original(self, inputs)
    self._calc_out_size(y.shape, w.shape)
    x_shape = len(y), w.shape[1] * self.groups, self.outh, self.outw
    x = _gradient_of_image(_geometry(self, x_shape, y.shape, w.shape[2:]), arrays.ours(y), w)
    if len(inputs) == 3:
        x += inputs[2].reshape(1, -1, 1, 1)
    self.retain_inputs((0, 1))
    return (x,)


def _gradient_of_image(geometry: Geometry, gy: Array, w: Array) -> Array:
    run = winograd.backward_data(geometry) or _backward_data(geometry)
    gx = arrays.empty(geometry.x)
    run(gy, np.ascontiguousarray(w), gx)
    return gx


@replaces(Convolution2DGradW, 'forward_cpu')
def gradient_of_weights(original: Original, self: Convolution2DGradW, inputs: Arrays) -> Arrays:
    x, gy = inputs
    if self.W_dtype != arrays.FLOAT32 or not arrays.is_float32(*inputs):
        return original(self, inputs)
    if (len(x), self.W_shape[0]) != gy.shape[:2]:
        return original(self, inputs)
    geometry = _geometry(self, x.shape, gy.shape, (self.kh, self.kw))
    run = winograd.backward_weights(geometry) or _backward_weights(geometry, False)
    gw = np.empty(self.W_shape, np.float32)
    run(arrays.ours(x), arrays.ours(gy), gw)
    self.retain_inputs((0, 1))
    return (gw,)


@replaces(Convolution2DFunction, 'backward')
def gradients(
    original: Original,
    self: Convolution2DFunction,
    indexes: tuple[int, ...],
    grad_outputs: Variables,
) -> Variables:
    # One primitive gives the gradients of weights and bias together. Only what is to be
    # differentiated again needs the graph that Chainer's own method builds.
    if 1 not in indexes or not graph.is_final():
        return original(self, indexes, grad_outputs)
    x, w = (variable.array for variable in self.get_retained_inputs())
    gy = grad_outputs[0].array
    if not _usable(self, x, w, gy) or gy.shape[:2] != (len(x), len(w)):
        return original(self, indexes, grad_outputs)
    geometry = _geometry(self, x.shape, gy.shape, w.shape[2:])
    gy, bias = arrays.ours(gy), 2 in indexes
    gw, gb = np.empty(w.shape, np.float32), np.empty(len(w), np.float32)
    run = winograd.backward_weights(geometry) or _backward_weights(geometry, bias)
    run(arrays.ours(x), gy, gw, *([gb] if bias else []))
    found = {1: gw, 2: gb}
    if 0 in indexes:
        found[0] = _gradient_of_image(geometry, gy, w)
    return tuple([graph.make_variable(found[index]) for index in indexes])


def _usable(function: Any, *inputs: Array) -> bool:
    return (
        arrays.is_float32(*inputs)
        and not getattr(function, 'cudnn_fast', False)
        and all(layout is None for layout in function.input_layouts)
    )


@dnnl.cached
def _forward(geometry: Geometry, bias: bool) -> dnnl.Reordered:
    primitive = _forward_primitive(geometry, bias)
    return dnnl.Reordered(primitive, dnnl.WEIGHTS, arrays.plain_layout(geometry.weight_shape))


@dnnl.cached
def _forward_primitive(
    geometry: Geometry, bias: bool
) -> dnnl.Primitive:  # also the hint that oneDNN wants for the gradients
    x, w, b, y = _layouts(geometry, bias)
    primitive = dnnl.Primitive(
        'convolution_forward',
        dnnl.FORWARD,
        dnnl.CONVOLUTION_DIRECT,
        *(x, w, b, y),
        *geometry.arguments,
        layouts={dnnl.SRC: x, dnnl.WEIGHTS: None, **({dnnl.BIAS: b} if bias else {}), dnnl.DST: y},
    )
    return _compiled(primitive)


@dnnl.cached
def _backward_data(geometry: Geometry) -> dnnl.Reordered:
    x, w, _, y = _layouts(geometry, False)
    primitive = dnnl.Primitive(
        'convolution_backward_data',
        dnnl.CONVOLUTION_DIRECT,
        *(x, w, y),
        *geometry.arguments,
        _forward_primitive(geometry, False),
        layouts={dnnl.DIFF_DST: y, dnnl.WEIGHTS: None, dnnl.DIFF_SRC: x},
    )
    plain = arrays.plain_layout(geometry.weight_shape)
    return dnnl.Reordered(_compiled(primitive), dnnl.WEIGHTS, plain)


@dnnl.cached
def _backward_weights(geometry: Geometry, bias: bool) -> Run:
    if first_layer.fits(geometry):
        return first_layer.backward_weights(geometry)
    # Where the last step ends before the edge and there are fewer than 8 channels, oneDNN 3.2 has
    # wrong numbers on a processor with AVX2, and may write beyond its memory. For so few, NumPy is
    # fast enough.
    pixels = geometry.kernel == (1, 1) and max(geometry.stride) > 1 and geometry.groups == 1
    if pixels and geometry.x[1] < FEW:
        return functools.partial(_gradient_of_pixels, geometry)
    primitive = _backward_weights_primitive(geometry, bias)
    # Where oneDNN has no special code for one filter a channel (the image is no larger than the
    # filters, say), its general code computes with whole blocks of channels. Up to maps of 8x8,
    # NumPy is faster.
    depthwise = geometry.groups == geometry.x[1] == geometry.y[1]
    small = geometry.y[2] * geometry.y[3] <= 64
    if depthwise and small and 'dw' not in primitive.implementation:
        return functools.partial(_depthwise_gradient, geometry)
    plain = arrays.plain_layout(geometry.weight_shape)
    return dnnl.Reordered(primitive, dnnl.DIFF_WEIGHTS, plain)


def _gradient_of_pixels(
    geometry: Geometry, x: Array, gy: Array, gw: Array, gb: Array | None = None
) -> None:
    """Gradients of filters of one pixel; of the bias, too, if `gb` is given."""
    ((row, row_of_y),), ((column, column_of_y),) = _overlaps(geometry)
    seen, given = x[:, :, row, column], gy[:, :, row_of_y, column_of_y]
    gw[:, :, 0, 0] = np.tensordot(given, seen, ((0, 2, 3), (0, 2, 3)))
    if gb is not None:
        gb[:] = gy.sum(axis=(0, 2, 3), dtype=np.float64)


def _depthwise_gradient(
    geometry: Geometry, x: Array, gy: Array, gw: Array, gb: Array | None = None
) -> None:
    """Gradients of one filter a channel, tap by tap; of the bias, too, if `gb` is given."""
    x, gy = x.transpose(0, 2, 3, 1), gy.transpose(0, 2, 3, 1)
    rows, columns = _overlaps(geometry)
    for i, (row, row_of_y) in enumerate(rows):
        for j, (column, column_of_y) in enumerate(columns):
            seen, given = x[:, row, column], gy[:, row_of_y, column_of_y]
            of_each = np.einsum('nhwc,nhwc->nc', seen, given)
            gw[:, 0, i, j] = of_each.sum(axis=0, dtype=np.float64)  # in a row, rounding adds up
    if gb is not None:
        gb[:] = gy.sum(axis=(0, 1, 2), dtype=np.float64)


def _overlaps(geometry: Geometry) -> list[list[tuple[slice, slice]]]:
    """The rows of x, and of y, that meet at each row of the filters; the same of columns."""
    steps = geometry.kernel, geometry.stride, geometry.pad, geometry.dilate
    return [
        [_overlap(n, m, tap * dilate - pad, stride) for tap in range(size)]
        for n, m, size, stride, pad, dilate in zip(
            geometry.x[2:], geometry.y[2:], *steps, strict=True
        )
    ]


def _overlap(size: int, size_of_y: int, offset: int, stride: int) -> tuple[slice, slice]:
    """Slices of pixels of x, and of y, for which ``x = y * stride + offset`` is inside x."""
    first = max(0, -(offset // stride))
    last = min(size_of_y - 1, (size - 1 - offset) // stride)
    if last < first:
        return slice(0), slice(0)
    start, stop = first * stride + offset, last * stride + offset + 1
    return slice(start, stop, stride), slice(first, last + 1)


def _backward_weights_primitive(geometry: Geometry, bias: bool) -> dnnl.Primitive:
    x, w, b, y = _layouts(geometry, bias)
    primitive = dnnl.Primitive(
        'convolution_backward_weights',
        dnnl.CONVOLUTION_DIRECT,
        *(x, w, b, y),
        *geometry.arguments,
        _forward_primitive(geometry, bias),
        layouts={
            dnnl.SRC: x,
            dnnl.DIFF_DST: y,
            dnnl.DIFF_WEIGHTS: None,
            **({dnnl.DIFF_BIAS: b} if bias else {}),
        },
    )
    return _compiled(primitive)


def _layouts(
    geometry: Geometry, bias: bool
) -> tuple[dnnl.Layout, dnnl.Layout, dnnl.Layout | None, dnnl.Layout]:
    """Of image, weights (as the primitive likes them), bias (or None) and output."""
    return (
        arrays.layout(geometry.x),
        dnnl.Layout(geometry.weight_shape),
        arrays.layout(geometry.y[1:2]) if bias else None,
        arrays.layout(geometry.y),
    )


def _compiled(primitive: dnnl.Primitive) -> dnnl.Primitive:
    # oneDNN's reference loops are slower than Chainer's im2col.
    if primitive.implementation.startswith('ref'):
        raise dnnl.Unsupported(primitive.implementation)
    return primitive
