"""Turn a net into an ONNX graph for any number of pictures, with Chainer's exporter, onnx_chainer.

The exporter runs the net once and writes down what was called. Numbers that come from the size of
that batch are then fixed in the graph, as in the shape of a Reshape. So the net is traced twice,
with batches of different sizes: where the two graphs differ, there the size went in.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import chainer
import numpy as np
from numpy.typing import NDArray

from chainer_cifar.errors import UserError, first_line
from chainer_cifar.export import packages

OPSET = 13  # the first with quantization by channel; all runtimes since 2020 know it
IR_VERSION = 7  # of the file; what belongs to that opset
TRACED = 11  # the last opset that onnx_chainer knows
SIZES = 2, 5  # batches

INPUT, OUTPUT, BATCH = 'images', 'logits', 'N'


def trace(net: chainer.Chain, shape: Sequence[int]) -> Any:
    """Make the ONNX model of a net on the CPU, in Chainer's own code.

    Args:
        net: The net.
        shape: That of an image, ``(C, H, W)``.

    Returns:
        An `onnx.ModelProto` that turns `INPUT`, float32 ``(N, *shape)``, into `OUTPUT`, float32
        ``(N, K)``, for every N.

    Raises:
        UserError: The net does something that ONNX or the exporter does not know, or that depends
            on the number of images in another way than the shape of a Reshape.
    """
    onnx = packages.onnx()
    model, other = (_traced(net, (size, *shape)) for size in SIZES)
    _free_batch(model.graph, other.graph)
    _tidy(model.graph)
    try:
        model = onnx.version_converter.convert_version(model, OPSET)
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # of C++, of any kind
        raise _unwritable(first_line(error)) from None
    return model


def _traced(net: chainer.Chain, shape: Sequence[int]) -> Any:
    from chainer_cifar.export import converters

    exporter = packages.onnx_chainer()
    # Images that differ, so that no function takes a short cut.
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return exporter.export(
                net,
                x,
                opset_version=TRACED,
                input_names=[INPUT],
                output_names=[OUTPUT],
                external_converters=converters.converters(),
                no_testcase=True,
            )
    except (ValueError, TypeError, NotImplementedError, AssertionError, RuntimeError) as error:
        raise _unwritable(first_line(error)) from None


def _free_batch(graph: Any, other: Any) -> None:
    """Free `graph` of the size of its batch, where `other` is the same with the other size."""
    if [node.op_type for node in graph.node] != [node.op_type for node in other.node]:
        raise _size_dependent('it')
    shapes = {node.input[1] for node in graph.node if node.op_type == 'Reshape'}
    for (name, tensor), (_, twin) in zip(_tensors(graph), _tensors(other), strict=True):
        if tensor.SerializeToString() == twin.SerializeToString():
            continue
        array, changed = _array(tensor), _array(twin)
        if array.shape == changed.shape and np.array_equal(array, changed, equal_nan=True):
            continue  # only their names differ
        if name not in shapes or array.shape != changed.shape:
            raise _size_dependent(name)
        freed = _any_batch(array, changed, name)
        tensor.CopyFrom(packages.onnx().numpy_helper.from_array(freed, tensor.name))
    for node, twin in zip(graph.node, other.node, strict=True):
        if _plain(node) != _plain(twin):
            raise _size_dependent(node.name)


def _unwritable(reason: str) -> UserError:
    return UserError(f'the net cannot be written as ONNX ({reason})')


def _size_dependent(what: str) -> UserError:
    return _unwritable(f'{what} depends on the number of images')


def _any_batch(shape: NDArray[np.int64], other: NDArray[np.int64], name: str) -> NDArray[np.int64]:
    """Return the shape of a Reshape for every batch, from those for two sizes."""
    (places,) = np.nonzero(shape != other)
    freed = shape.copy()
    if len(places) == 1 and not (shape == -1).any():
        freed[places] = -1  # what is left
    elif places.tolist() == [0] and (shape[0], other[0]) == SIZES:
        freed[0] = 0  # as in the input
    else:
        raise _size_dependent(name)
    return freed


def _tensors(graph: Any) -> Iterator[tuple[str, Any]]:
    """Yield the constants of a graph in the order in which nodes use them, and their names there.

    The exporter lists some of them in the order of a set, which differs from graph to graph.
    """
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for name in node.input:
            if name in initializers:
                yield name, initializers[name]
        for attribute in node.attribute:
            if attribute.HasField('t'):
                yield node.output[0], attribute.t


def _tidy(graph: Any) -> None:
    """Leave the images as the only input, for any batch; list constants in the order of their use.

    The exporter numbers what has no name as it happens to come. The same net shall give the same
    file.
    """
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    used = dict.fromkeys(name for node in graph.node for name in node.input if name in initializers)
    names: dict[str, str] = {}
    for name in used:
        numbered = re.fullmatch(r'v\d+', name)
        names[name] = f'constant_{len(names)}' if numbered else name
        initializers[name].name = names[name]
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    tensors = [
        packages.onnx().TensorProto.FromString(initializers[name].SerializeToString())
        for name in used
    ]
    inputs = [value for value in graph.input if value.name == INPUT]
    for field, values in (('initializer', tensors), ('input', inputs), ('value_info', [])):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH


def _plain(node: Any) -> list[bytes]:
    """Return the attributes of a node that are no tensors."""
    return [each.SerializeToString() for each in node.attribute if not each.HasField('t')]


def _array(tensor: Any) -> NDArray[Any]:
    array: NDArray[Any] = packages.onnx().numpy_helper.to_array(tensor)
    return array
