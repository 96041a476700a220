"""ReLU and its gradient."""

import weakref

from chainer.functions.activation.relu import ReLU, ReLUGrad2

from chainer_onednn import arrays, elementwise
from chainer_onednn.replace import replaces

# Gradients that are zero already where the ReLU's output is: id -> (gradient, output), both weak.
_masked = {}


def mark_as_masked(gradient, output):
    """Tell that ``gradient`` needs no more masking by a ReLU of this ``output``."""
    key = id(gradient)
    _masked[key] = (weakref.ref(gradient, lambda _: _masked.pop(key, None)), weakref.ref(output))


@replaces(ReLU, 'forward_cpu')
def relu(original, self, inputs):
    (x,) = inputs
    if getattr(self, '_guess', None) is not None and self._guess.rectified is x:
        self.retain_outputs((0,))
        return (x,)
    if not arrays.is_float32(x) or not arrays.is_ours(x):
        return original(self, inputs)
    y = arrays.empty(x.shape)
    elementwise.relu(*elementwise.flat(x, y))
    self.retain_outputs((0,))
    return (y,)


@replaces(ReLUGrad2, 'forward_cpu')
def relu_gradient(original, self, inputs):
    (gy,) = inputs
    gradient, output = _masked.get(id(gy), (None, None))
    if gradient is not None and gradient() is gy and output() is self.b:
        return (gy,)
    if not arrays.is_float32(gy, self.b) or not arrays.is_ours(self.b):
        return original(self, inputs)
    gx = arrays.empty(gy.shape)
    elementwise.relu_gradient(*elementwise.flat(self.b, arrays.ours(gy), gx))
    return (gx,)
