"""Less of Chainer's bookkeeping in a backward pass.

The gradient functions are nodes of the graph, too, so that gradients can be differentiated again.
When that is not asked for (`Variable.backward` without ``enable_double_backprop``), the nodes are
thrown away at once. In a net of many small layers making them costs more than a tenth of the time.
"""

import chainer
import numpy as np
from chainer.functions.activation.relu import ReLUGrad2
from chainer.functions.connection.convolution_2d import Convolution2DGradW
from chainer.functions.connection.linear import LinearGradData, LinearGradWeight
from chainer.functions.noise.dropout import DropoutGrad
from chainer.functions.normalization.batch_normalization import BatchNormalizationGrad
from chainer.functions.pooling.average_pooling_2d import AveragePooling2DGrad
from chainer.functions.pooling.max_pooling_nd import MaxPoolingNDGrad

from chainer_onednn import lookahead
from chainer_onednn.replace import replaces


@replaces(AveragePooling2DGrad, 'apply')
@replaces(BatchNormalizationGrad, 'apply')
@replaces(Convolution2DGradW, 'apply')
@replaces(DropoutGrad, 'apply')
@replaces(LinearGradData, 'apply')
@replaces(LinearGradWeight, 'apply')
@replaces(MaxPoolingNDGrad, 'apply')
@replaces(ReLUGrad2, 'apply')
def apply_gradient(original, self, inputs):
    arrays = _arrays(inputs)
    return original(self, inputs) if arrays is None else _apply(self, inputs, arrays)


def apply_without_graph(node, inputs):
    """Apply a function to variables of one shape and dtype if nobody wants the graph.

    Returns:
        tuple of chainer.Variable or None: None where Chainer's own ``apply`` is needed.
    """
    arrays = _arrays(inputs)
    if arrays is None or any(
        array.shape != arrays[0].shape or array.dtype != arrays[0].dtype for array in arrays
    ):
        return None
    return _apply(node, inputs, arrays)


def _arrays(inputs):
    """The arrays of variables; None where the graph, a hook or another device wants them."""
    if chainer.config.enable_backprop or lookahead.is_watched():
        return None
    arrays = tuple([getattr(variable, 'array', None) for variable in inputs])
    return arrays if all(type(array) is np.ndarray for array in arrays) else None


def _apply(node, variables, arrays):
    requires_grad = any(variable.requires_grad for variable in variables)
    node._input_layouts = (None,) * len(arrays)
    return tuple([make_variable(array, requires_grad) for array in node.forward(arrays)])


def make_variable(array, requires_grad=True):
    """A new variable of a NumPy array, without the checks of what a caller might pass."""
    return chainer.Variable._init_unchecked(
        array, requires_grad=requires_grad, is_chainerx_array=False
    )
