"""ReLU, clipped ReLU (ReLU6), and their gradients."""

from typing import Any

import chainer
import numpy as np
from chainer.functions.activation.clipped_relu import ClippedReLU, ClippedReLUGrad2
from chainer.functions.activation.relu import ReLU, ReLUGrad2

from chainer_onednn import arrays, elementwise, graph, kernels, pending, threads
from chainer_onednn.hints import Array, Arrays, Inputs, Original, Variables
from chainer_onednn.replace import replaces


@replaces(ReLU, 'apply')
def apply_relu(original: Original, self: ReLU, inputs: Inputs) -> Variables:
    variables = graph.inputs_of(self, inputs)
    if variables is None or not kernels.available() or type(self) is not ReLU:
        return original(self, inputs)
    source = _source(variables[0])
    if source is None:
        return graph.compute(original, self, variables)
    self._work = pending.Rectified(source)
    self.retain_outputs((0,))
    graph.unsettled.add(self)
    return graph.connect(self, variables, (self._work,))


def _source(x: Any) -> pending.Work | Array | None:
    """What a ReLU that is pending may be computed from: a work, an array, or None."""
    work = pending.work_of(x)
    if isinstance(work, pending.Normalized | pending.Sum):
        return work
    array = x.array
    usable = pending.is_ours(x) and arrays.is_float32(array) and arrays.is_ours(array)
    return array if usable else None


@replaces(ReLU, 'backward')
def relu_backward(
    original: Original, self: ReLU, indexes: tuple[int, ...], grad_outputs: Variables
) -> Variables:
    work, (gy,) = vars(self).get('_work'), grad_outputs
    if work is None or gy is None:
        return original(self, indexes, grad_outputs)
    if graph.is_final():
        if gy.__dict__.get('_masked_by') is work:  # max pooling did it
            return (gy,)
        masked = gradient_of(gy, work)
        if masked is not None:
            return (graph.make_gradient(masked),)
    graph.settle(self)
    return original(self, indexes, grad_outputs)


@replaces(ReLU, 'get_retained_outputs')
def get_retained_outputs(original: Original, self: ReLU) -> Variables:
    if vars(self).get('_work') is not None:
        graph.settle(self)
    return original(self)


@replaces(chainer.Variable, '_set_array')
def set_array(original: Original, self: chainer.Variable, d: Any, **kwargs: Any) -> None:
    # A user's array may change, and it is what a ReLU's gradient is masked by from now on.
    original(self, d, **kwargs)
    vars(self).pop('_chainer_onednn', None)
    if self._has_chainerx_array:
        return
    # (It may be the same array as before, changed in place.)
    self.node.__dict__['_array_was_set'] = True
    function: Any = self.creator_node
    if function is not None:
        vars(function).pop('_moments', None)
    if type(function) is ReLU and vars(function).get('_work') is not None:
        graph.settle(function)
        self.node.data, function._work = d, None
        graph.unsettled.discard(function)


def gradient_of(gy: Any, rectified: pending.Rectified) -> pending.Masked | None:
    """The work of masking a gradient (a variable), or None where our kernel can't."""
    work = pending.work_of(gy)
    if isinstance(work, pending.Sum):
        return pending.Masked(work, rectified)
    array = gy.array
    if not arrays.is_float32(array) or array.shape != rectified.shape:
        return None
    return pending.Masked(arrays.ours(array), rectified)


@replaces(ReLU, 'forward_cpu')
def relu(original: Original, self: ReLU, inputs: Arrays) -> Arrays:
    (x,) = inputs
    if not arrays.is_float32(x) or not arrays.is_ours(x):
        return original(self, inputs)
    y = arrays.empty(x.shape)
    elementwise.relu(*elementwise.flat(x, y))
    self.retain_outputs((0,))
    return (y,)


@replaces(ReLUGrad2, 'forward_cpu')
def relu_gradient(original: Original, self: ReLUGrad2, inputs: Arrays) -> Arrays:
    (gy,) = inputs
    if not arrays.is_float32(gy, self.b) or gy.shape != self.b.shape or not arrays.is_ours(self.b):
        return original(self, inputs)
    gx = arrays.empty(gy.shape)
    elementwise.relu_gradient(*elementwise.flat(self.b, arrays.ours(gy), gx))
    return (gx,)


@replaces(ClippedReLU, 'forward_cpu')
def clipped_relu(original: Original, self: ClippedReLU, inputs: Arrays) -> Arrays:
    (x,) = inputs
    if not arrays.is_float32(x) or not arrays.is_ours(x):
        return original(self, inputs)
    self.retain_inputs((0,))
    y = arrays.empty(x.shape)
    source, target = elementwise.flat(x, y)

    def clip(part: slice) -> None:
        np.maximum(0, source[part], out=target[part])
        np.minimum(target[part], self.cap, out=target[part])

    threads.in_blocks(clip, x.size)
    return (y,)


@replaces(ClippedReLUGrad2, 'forward_cpu')
def clipped_relu_gradient(original: Original, self: ClippedReLUGrad2, inputs: Arrays) -> Arrays:
    (gy,) = inputs
    if not arrays.is_float32(gy, self.x) or gy.shape != self.x.shape or not arrays.is_ours(self.x):
        return original(self, inputs)
    gx = arrays.empty(gy.shape)
    x, above, target = elementwise.flat(self.x, arrays.ours(gy), gx)

    def mask(part: slice) -> None:
        passes = x[part] > 0
        passes &= x[part] < self.cap
        np.multiply(above[part], passes, out=target[part])

    threads.in_blocks(mask, gx.size)
    return (gx,)
