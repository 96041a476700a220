"""ReLU, clipped ReLU (ReLU6), and their gradients."""

import numpy as np
from chainer.functions.activation.clipped_relu import ClippedReLU, ClippedReLUGrad2
from chainer.functions.activation.relu import ReLU, ReLUGrad2

from chainer_onednn import arrays, elementwise, threads
from chainer_onednn.replace import replaces


@replaces(ReLU, 'forward_cpu')
def relu(original, self, inputs):
    (x,) = inputs
    guess = getattr(self, '_guess', None)
    if guess is not None and guess.rectified is x:
        self.retain_outputs((0,))
        return (x.copy(order='K') if guess.relus else x,)
    if not arrays.is_float32(x) or not arrays.is_ours(x):
        return original(self, inputs)
    y = arrays.empty(x.shape)
    elementwise.relu(*elementwise.flat(x, y))
    self.retain_outputs((0,))
    return (y,)


@replaces(ReLUGrad2, 'forward_cpu')
def relu_gradient(original, self, inputs):
    (gy,) = inputs
    if not arrays.is_float32(gy, self.b) or gy.shape != self.b.shape or not arrays.is_ours(self.b):
        return original(self, inputs)
    gx = arrays.empty(gy.shape)
    elementwise.relu_gradient(*elementwise.flat(self.b, arrays.ours(gy), gx))
    return (gx,)


@replaces(ClippedReLU, 'forward_cpu')
def clipped_relu(original, self, inputs):
    (x,) = inputs
    if not arrays.is_float32(x) or not arrays.is_ours(x):
        return original(self, inputs)
    self.retain_inputs((0,))
    y = arrays.empty(x.shape)
    source, target = elementwise.flat(x, y)

    def clip(part):
        np.maximum(0, source[part], out=target[part])
        np.minimum(target[part], self.cap, out=target[part])

    threads.in_blocks(clip, x.size)
    return (y,)


@replaces(ClippedReLUGrad2, 'forward_cpu')
def clipped_relu_gradient(original, self, inputs):
    (gy,) = inputs
    if not arrays.is_float32(gy, self.x) or gy.shape != self.x.shape or not arrays.is_ours(self.x):
        return original(self, inputs)
    gx = arrays.empty(gy.shape)
    x, above, target = elementwise.flat(self.x, arrays.ours(gy), gx)

    def mask(part):
        passes = x[part] > 0
        passes &= x[part] < self.cap
        np.multiply(above[part], passes, out=target[part])

    threads.in_blocks(mask, gx.size)
    return (gx,)
