"""GELU and its gradient, of functions of other packages that are marked as such.

Chainer has no GELU. A `FunctionNode` that computes it says ``cpu_kernel = 'gelu'`` in its class, is
called with x and retains it; the function of its gradient says ``cpu_kernel = 'gelu_gradient'`` and
is called with x and the gradient of the output.
"""

from typing import Any

from chainer_onednn import arrays, dnnl, elementwise
from chainer_onednn.hints import Arrays, Original
from chainer_onednn.replace import replaces_marked


@replaces_marked('gelu', 'forward_cpu')
def gelu(original: Original, self: Any, inputs: Arrays) -> Arrays:
    (x,) = inputs
    if not arrays.is_float32(x) or not arrays.is_ours(x):
        return original(self, inputs)
    self.retain_inputs((0,))
    y = arrays.empty(x.shape)
    _forward(x.size)(*elementwise.flat(x, y))
    return (y,)


@replaces_marked('gelu_gradient', 'forward_cpu')
def gelu_gradient(original: Original, self: Any, inputs: Arrays) -> Arrays:
    x, gy = inputs
    if not arrays.is_float32(x, gy) or x.shape != gy.shape or not arrays.is_ours(x):
        return original(self, inputs)
    gx = arrays.empty(x.shape)
    _backward(x.size)(*elementwise.flat(x, arrays.ours(gy), gx))
    return (gx,)


@dnnl.cached
def _forward(size: int) -> dnnl.Primitive:
    vector = arrays.layout((size,))
    return dnnl.Primitive(
        'eltwise_forward',
        dnnl.FORWARD,
        dnnl.ELTWISE_GELU_ERF,
        *(vector, vector),
        *(0.0, 0.0),
        layouts={dnnl.SRC: vector, dnnl.DST: vector},
    )


@dnnl.cached
def _backward(size: int) -> dnnl.Primitive:
    vector = arrays.layout((size,))
    return dnnl.Primitive(
        'eltwise_backward',
        dnnl.ELTWISE_GELU_ERF,
        *(vector, vector, vector),
        *(0.0, 0.0),
        _forward(size),
        layouts={dnnl.SRC: vector, dnnl.DIFF_DST: vector, dnnl.DIFF_SRC: vector},
    )
