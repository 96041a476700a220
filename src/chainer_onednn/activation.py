"""ReLU and its gradient."""

from chainer.functions.activation.relu import ReLU, ReLUGrad2

from chainer_onednn import arrays, elementwise
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
