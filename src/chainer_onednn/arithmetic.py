"""Sums of arrays, as residual shortcuts and accumulated gradients make them.

And what only moves numbers: joining, padding with zeros, reshaping.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from chainer.functions.array.concat import Concat
from chainer.functions.array.pad import Pad
from chainer.functions.array.reshape import Reshape
from chainer.functions.math.basic_math import Add, MultiAdd

from chainer_onednn import arrays, dnnl, elementwise, graph, kernels, pending
from chainer_onednn.hints import Arrays, Inputs, Original, Shape, Variables
from chainer_onednn.replace import replaces

_SMALL = 2**14  # elements, below which NumPy is as fast


@replaces(Add, 'apply')
@replaces(MultiAdd, 'apply')
def apply_sum(original: Original, self: Any, inputs: Inputs) -> Variables:
    if len(inputs) == 1:  # which Chainer returns as it is, so that the result is none of ours
        return original(self, inputs)
    variables = graph.inputs_of(self, inputs)
    if variables is None or not all(_is_alike(x, variables[0]) for x in variables):
        return original(self, inputs)
    if type(self) is Add and kernels.available() and variables[0].size >= _SMALL:
        work = _work(variables)
        if work is not None:
            if graph.is_walking() and pending.ON:
                needed = any(x.requires_grad for x in variables)
                return (graph.make_gradient(work, needed),)
            if all(map(pending.is_ours, variables)):
                return graph.connect(self, variables, (work,))
    return graph.compute(original, self, variables)


def _is_alike(x: Any, first: Any) -> bool:
    return x.shape == first.shape and x.dtype == first.dtype


def _work(variables: Sequence[Any]) -> pending.Sum | None:
    """The sum of two variables as a work, or None where our kernel can't."""
    a, b = variables
    if isinstance(pending.work_of(b), pending.Normalized):
        a, b = b, a
    first = pending.work_of(a)
    if not isinstance(first, pending.Normalized):
        first = a.array
    second = b.array
    given = [array for array in (first, second) if not isinstance(array, pending.Work)]
    if not arrays.is_float32(*given) or not all(map(arrays.is_ours, given)):
        return None
    return pending.Sum(first, second)


@replaces(Add, 'forward')
def add(original: Original, self: Add, inputs: Arrays) -> Arrays:
    if not _usable(inputs):
        return original(self, inputs)
    y = arrays.empty(inputs[0].shape)
    elementwise.add(*elementwise.flat(*map(arrays.ours, inputs), y))
    return (y,)


@replaces(MultiAdd, 'forward')
def add_several(original: Original, self: MultiAdd, inputs: Arrays) -> Arrays:
    if len(inputs) < 2 or not _usable(inputs):
        return original(self, inputs)
    self.len = len(inputs)
    y = arrays.empty(inputs[0].shape)
    first, *rest = map(arrays.ours, inputs)
    for other in rest:
        elementwise.add(*elementwise.flat(first, other, y))
        first = y
    return (y,)


@replaces(Concat, 'forward')
def concat(original: Original, self: Concat, inputs: Arrays) -> Arrays:
    if self.axis not in (1, -3) or not arrays.is_float32(*inputs) or inputs[0].ndim != 4:
        return original(self, inputs)
    run = _concat(*(x.shape for x in inputs))
    n, _, h, w = inputs[0].shape
    y = arrays.empty((n, sum(x.shape[1] for x in inputs), h, w))
    run(*map(arrays.ours, inputs), y)
    return (y,)


@dnnl.cached
def _concat(*shapes: Shape) -> dnnl.Primitive:
    n, _, h, w = shapes[0]
    sources = [arrays.layout(shape) for shape in shapes]
    target = arrays.layout((n, sum(shape[1] for shape in shapes), h, w))
    return dnnl.Primitive(
        'concat',
        target,
        len(shapes),
        1,
        dnnl.handles(sources),
        layouts={
            **{dnnl.MULTIPLE_SRC + i: source for i, source in enumerate(sources)},
            dnnl.DST: target,
        },
    )


@replaces(Pad, 'forward')
def pad(original: Original, self: Pad, inputs: Arrays) -> Arrays:
    (x,) = inputs
    width, zeros = self.pad_bw, self.mode == 'constant' and not self.keywords
    if not zeros or x.ndim != 4 or not _usable(inputs) or width.shape != (4, 2):
        return original(self, inputs)
    if width.dtype.kind != 'i' or width.min() < 0:
        return original(self, inputs)
    y = arrays.empty(tuple(x.shape + width.sum(axis=1)))
    elementwise.flat(y)[0].fill(0)
    inside = zip(x.shape, width[:, 0], strict=True)
    arrays.copy_to(x, y[tuple(slice(start, start + size) for size, start in inside)])
    return (y,)


@replaces(Reshape, 'forward')
def reshape(original: Original, self: Reshape, inputs: Arrays) -> Arrays:
    # To make a vector of a channels-last image, NumPy would gather its numbers one by one.
    (x,) = inputs
    if not _usable(inputs) or x.ndim != 4 or x.flags.c_contiguous:
        return original(self, inputs)
    plain = np.empty(x.shape, np.float32)
    arrays.copy_to(x, plain)
    return (plain.reshape(self.shape),)


def _usable(inputs: Arrays) -> bool:
    first = inputs[0]
    return (
        arrays.is_float32(*inputs)
        and first.size >= _SMALL
        and all(array.shape == first.shape for array in inputs)
    )
