"""Chainer's graph of functions, grown and walked with less bookkeeping.

Chainer's own ways serve every device, hook and debugging aid; a step of a deep net spends a tenth
of its time in them. Where no hook is set and arrays are NumPy's, this is the same, shorter:
`connect` for the end of `FunctionNode.apply`, `backpropagate` for the loop of `Variable.backward`.
Gradients may be `pending`. Gradient functions, which would be nodes of the graph, too, are called
straight away when nobody is going to differentiate again.
"""

import heapq
import threading
import weakref
from collections.abc import Sequence
from typing import Any, TypeAlias

import chainer
import numpy as np
from chainer import _backprop, _backprop_utils, function_node
from chainer.functions.activation.relu import ReLUGrad2
from chainer.functions.array.concat import Concat
from chainer.functions.array.pad import Pad
from chainer.functions.array.reshape import Reshape
from chainer.functions.connection.convolution_2d import Convolution2DFunction, Convolution2DGradW
from chainer.functions.connection.deconvolution_2d import Deconvolution2DFunction
from chainer.functions.connection.linear import LinearFunction, LinearGradData, LinearGradWeight
from chainer.functions.noise.dropout import Dropout, DropoutGrad
from chainer.functions.normalization.batch_normalization import BatchNormalizationGrad
from chainer.functions.pooling.average_pooling_2d import AveragePooling2D, AveragePooling2DGrad
from chainer.functions.pooling.max_pooling_nd import MaxPoolingNDGrad

from chainer_onednn import pending
from chainer_onednn.hints import Array, Inputs, Original, Variables
from chainer_onednn.replace import replaces


def is_watched() -> bool:
    """Would somebody see the arrays between functions?"""
    return chainer.is_debug() or bool(chainer.get_function_hooks())


# ---- forward -------------------------------------------------------------------------------------


def inputs_of(node: Any, inputs: Inputs) -> list[Any] | None:
    """The inputs of a function as variables, if `connect` may be used for it; else None.

    Looks at no array, and does what `FunctionNode.apply` does before the function's own work.
    """
    if is_watched() or node._n_local_function_hooks or node._is_chainerx_fallback_mode:
        return None
    variables = []
    for x in inputs:
        if not isinstance(x, chainer.Variable):
            if type(x) is not np.ndarray:
                return None
            x = make_variable(x, requires_grad=False)
        elif x._layout is not None or x._has_chainerx_array:
            return None
        variables.append(x)
    node._input_layouts = (None,) * len(variables)
    node._input_indexes_to_retain = node._output_indexes_to_retain = None
    return variables


@replaces(AveragePooling2D, 'apply')
@replaces(Concat, 'apply')
@replaces(Convolution2DFunction, 'apply')
@replaces(Deconvolution2DFunction, 'apply')
@replaces(Dropout, 'apply')
@replaces(LinearFunction, 'apply')
@replaces(Pad, 'apply')
@replaces(Reshape, 'apply')
def apply(original: Original, self: Any, inputs: Inputs) -> Variables:
    variables = inputs_of(self, inputs)
    return original(self, inputs) if variables is None else compute(original, self, variables)


def compute(original: Original, node: Any, variables: Sequence[Any]) -> Variables:
    """Apply a function to what `inputs_of` gave, by its own forward pass."""
    given = tuple([x._data[0] for x in variables])
    if not all(type(x) is np.ndarray for x in given):
        return original(node, variables)
    if chainer.config.type_check:
        node._check_data_type_forward(given)
    return connect(node, variables, node.forward(given))


def connect(
    node: Any, variables: Sequence[Any], outputs: tuple[Array | pending.Work, ...]
) -> Variables:
    """Make variables of a function's outputs, and the edges of the graph.

    Args:
        node: The function, which has called `retain_inputs` and `retain_outputs` as it wants.
        variables: Its inputs.
        outputs: Arrays, or one work.

    Returns:
        Variables of the outputs.
    """
    node._output_count = len(outputs)
    node._output_layouts = (None,) * len(outputs)
    requires_grad = any(x.requires_grad for x in variables)
    work = outputs[0] if isinstance(outputs[0], pending.Work) else None
    given: Any = outputs if work is None else (pending.placeholder(work.shape),)
    ret = tuple([make_variable(y, requires_grad) for y in given])
    if type(node) is not Reshape or pending.is_ours(variables[0]):
        for y in ret:
            y.__dict__['_chainer_onednn'] = True
    if chainer.config.enable_backprop:
        # (What is pending is not retained: the function keeps the work.)
        node.rank = max([x.rank for x in variables])
        for y in ret:
            y.creator_node = node
        node.inputs = tuple([x.node for x in variables])
        node.outputs = tuple([weakref.ref(y.node) for y in ret])
        if node._input_indexes_to_retain is not None:
            for index in node._input_indexes_to_retain:
                variables[index].retain_data()
        if node._output_indexes_to_retain is not None and work is None:
            for index in node._output_indexes_to_retain:
                ret[index].retain_data()
            node._retained_output_data = tuple(
                [given[index] for index in node._output_indexes_to_retain]
            )
        node.lazy_grad_sum = chainer.config.lazy_grad_sum
    if work is not None:
        pending.make_pending(ret[0], work)
    return ret


# Functions that should have retained their output, and keep a work instead.
unsettled: weakref.WeakSet[Any] = weakref.WeakSet()


def settle(function: Any) -> None:
    """Do what Chainer expects of a function that has retained its output."""
    y = function._work.result()
    if function.outputs is not None:
        function._retained_output_data = (y,)
        node = function.outputs[0]()
        if node is not None:
            node.data = y


def settle_all() -> None:
    """Make graphs that are still alive what Chainer's own code takes them for."""
    while True:
        try:
            function = unsettled.pop()
        except KeyError:  # not asked before: another thread may take the last one
            return
        settle(function)


def make_variable(array: Array, requires_grad: bool = True) -> chainer.Variable:
    """A new variable of a NumPy array, without the checks of what a caller might pass."""
    return chainer.Variable._init_unchecked(
        array, requires_grad=requires_grad, is_chainerx_array=False
    )


def make_gradient(work: pending.Work, requires_grad: bool = True) -> chainer.Variable:
    """A gradient that is pending."""
    variable = make_variable(pending.placeholder(work.shape), requires_grad)
    return pending.make_pending(variable, work)


# ---- backward ------------------------------------------------------------------------------------

_thread = threading.local()

# The gradients found so far for each variable's node.
Found: TypeAlias = dict[Any, list[chainer.Variable]]


def is_walking() -> bool:
    """Is this within `backpropagate`, and not within a graph that is made there (`F.forget`)?

    Then all arrays are gradients.
    """
    return getattr(_thread, 'walking', False) and is_final()


@replaces(AveragePooling2DGrad, 'apply')
@replaces(BatchNormalizationGrad, 'apply')
@replaces(Convolution2DGradW, 'apply')
@replaces(DropoutGrad, 'apply')
@replaces(LinearGradData, 'apply')
@replaces(LinearGradWeight, 'apply')
@replaces(MaxPoolingNDGrad, 'apply')
@replaces(ReLUGrad2, 'apply')
def apply_gradient(original: Original, self: Any, inputs: Inputs) -> Variables:
    arrays = None if not is_final() else [getattr(x, 'array', None) for x in inputs]
    if arrays is None or not all(type(array) is np.ndarray for array in arrays):
        return original(self, inputs)
    requires_grad = any(x.requires_grad for x in inputs)
    self._input_layouts = (None,) * len(arrays)
    return tuple([make_variable(y, requires_grad) for y in self.forward(tuple(arrays))])


def is_final() -> bool:
    """Is this a backward pass whose gradients nobody differentiates, and nobody watches?"""
    return not chainer.config.enable_backprop and not is_watched()


@replaces(_backprop, '_backprop_to_all')
def backpropagate(
    original: Original, outputs: Any, retain_grad: bool, loss_scale: float | None
) -> None:
    """The loop of `Variable.backward`; see chainer/_backprop.py, whose order it keeps."""
    if retain_grad or not is_final():
        settle_all()
        return original(outputs, retain_grad, loss_scale)
    before, _thread.walking = is_walking(), True
    try:
        _backpropagate(outputs, loss_scale)
    finally:
        _thread.walking = before


@replaces(function_node, '_backprop')
def backpropagate_to_inputs(original: Original, *args: Any) -> dict[Any, Any]:
    """The loop of `chainer.grad`, which is Chainer's own."""
    settle_all()  # hooks, also those of one function, see what a ReLU gave
    found: dict[Any, Any] = original(*args)
    for gradient in found.values():
        if gradient is not None:
            gradient._data  # noqa: B018 - it may be made of others, which may change from here on
    return found


def _backpropagate(outputs: Any, loss_scale: float | None) -> None:
    waiting: list[tuple[int, int, Any]] = []  # by rank, the latest first
    seen: set[Any] = set()
    leaves: set[Any] = set()
    grads = _backprop_utils.GradTable(accumulate_grad_inputs=True)

    def visit(node: Any) -> None:
        function = node.creator_node
        if function is None:
            leaves.add(node)
        elif function not in seen:
            heapq.heappush(waiting, (-function.rank, len(seen), function))
            seen.add(function)

    for y, gy in outputs:
        grads.accumulate(y, gy)
        visit(y)
    y = gy = outputs = None  # there may have been none
    while waiting:
        function = heapq.heappop(waiting)[2]
        indexes = tuple([i for i, x in enumerate(function.inputs) if x.requires_grad])
        given = tuple([_pop(grads, y()) for y in function.outputs])
        if not indexes:
            continue
        found = {x: grads.get_as_list(x) for x in [function.inputs[i] for i in indexes]}
        if _is_plain(function, given):
            _step(function, indexes, given, found)
        else:
            _watched_step(function, indexes, given, found)
        del given
        for x, gx in found.items():
            for g in gx:
                if type(g) is not pending.Pending:
                    chainer.variable._check_grad_type(function, x, True, g.raw_array)
            if gx:
                visit(x)
        gx = g = None
    for x in leaves:
        variable, gx = x.get_variable_or_none(), grads.pop(x)
        if variable is not None:
            if gx is not None:
                gx._data  # noqa: B018 - arrays that it is made of may change from here on
            variable._set_grad_var_without_check(gx)
            variable._loss_scale = loss_scale
    grads.assert_no_grads()


def _pop(grads: Any, node: Any) -> Any:
    return grads.pop(node) if node is not None and node.creator_node is not None else None


def _is_plain(function: Any, gradients: Variables) -> bool:
    """Is a step on NumPy's arrays all that is to be done for this function?"""
    return (
        not function._n_local_function_hooks
        and type(function).backward_accumulate is chainer.FunctionNode.backward_accumulate
        and all(
            g is None or type(g) is pending.Pending or type(g._data[0]) is np.ndarray
             for g in gradients
        )
    )  # fmt: skip


def _step(function: Any, indexes: tuple[int, ...], given: Variables, found: Found) -> None:
    try:
        gradients = function.backward(indexes, given)
    except Exception as error:
        _backprop_utils._reraise_with_stack(function, error)
    if len(gradients) == len(function.inputs):
        gradients = [gradients[i] for i in indexes]
    elif len(gradients) != len(indexes):
        raise ValueError(
            function._get_error_message(
                f'number of gradients returned from backward is incorrect: {len(gradients)}'
            )
        )
    for i, gx in zip(indexes, gradients, strict=True):
        if gx is not None and (type(gx) is pending.Pending or gx.raw_array is not None):
            found[function.inputs[i]].append(gx)
    del gradients
    if not function.lazy_grad_sum:
        for gx in found.values():
            _backprop_utils._reduce(gx)


def _watched_step(function: Any, indexes: tuple[int, ...], given: Variables, found: Found) -> None:
    """As Chainer does it: on the array's device, with hooks."""
    for x in function.inputs:
        if x.creator_node in unsettled:
            settle(x.creator_node)
    seen = [x.data for x in function.inputs], [None if g is None else g.raw_array for g in given]
    hooks = list(function.local_function_hooks.values()) if function._n_local_function_hooks else []
    with chainer.using_device(chainer.backend.get_device_from_array(*seen[0], *seen[1])):
        for hook in hooks:
            hook.backward_preprocess(function, tuple(seen[0]), tuple(seen[1]))
        _backprop_utils.backprop_step(function, indexes, given, found, False)
        for hook in hooks:
            hook.backward_postprocess(function, tuple(seen[0]), tuple(seen[1]))
