"""Put the treatment of the pictures before a net's ONNX graph, so that it takes bytes.

A preprocessing (data/preprocess.py) becomes a function here that adds nodes to a `Builder`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.data.preprocess import NormZca, Preprocessing, Zca, name_of
from chainer_cifar.export import packages
from chainer_cifar.export.trace import BATCH, INPUT
from chainer_cifar.registry import Registry

PICTURES = 'pictures'  # the new input, uint8 (N, C, H, W)
PREFIX = 'input_'  # of the names of all nodes here


class Builder:
    """Nodes and constants, one after the other.

    Args:
        value: The name of the value that the next node takes.
    """

    def __init__(self, value: str) -> None:
        self.value = value
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def op(self, kind: str, *constants: NDArray[Any], **attributes: Any) -> str:
        """Add a node that takes the last value and some constants; return the new value's name."""
        name = f'{PREFIX}{len(self.nodes)}'
        inputs = [self.value]
        for number, array in enumerate(constants):
            inputs.append(f'{name}_{number}')
            self.constants.append(packages.onnx().numpy_helper.from_array(array, inputs[-1]))
        return self.apply(kind, *inputs, **attributes)

    def apply(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node that takes these values; return the new value's name."""
        name = f'{PREFIX}{len(self.nodes)}'
        make = packages.onnx().helper.make_node
        self.nodes.append(make(kind, list(inputs), [f'{name}_out'], name=name, **attributes))
        self.value = f'{name}_out'
        return self.value


in_graph = Registry[Callable[[Builder, Any, Sequence[int]], object]]('preprocessing for ONNX')


def put_before(model: Any, transform: InputTransform, shape: Sequence[int]) -> None:
    """Make a model of `trace` take `PICTURES`, uint8 ``(N, *shape)``, in place of `INPUT`.

    Raises:
        UserError: Nobody knows how the pictures are treated.
    """
    onnx = packages.onnx()
    transform(np.zeros((1, *shape), np.uint8))  # raises that error
    assert transform.preprocessing is not None
    build = Builder(PICTURES)
    in_graph[name_of(transform.preprocessing)](build, transform.preprocessing, shape)
    mean, std = transform.normalization.mean, transform.normalization.std
    if mean.any():
        build.op('Sub', mean[:, None, None])
    if (std != 1).any():
        build.op('Div', std[:, None, None])
    build.nodes[-1].output[0] = INPUT
    graph = model.graph
    nodes = [*build.nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(build.constants)
    value = onnx.helper.make_tensor_value_info(PICTURES, onnx.TensorProto.UINT8, [BATCH, *shape])
    graph.input[0].CopyFrom(value)
    onnx.checker.check_model(model, full_check=True)


def _cast(build: Builder, dtype: str) -> None:
    build.op('Cast', to=getattr(packages.onnx().TensorProto, dtype))


@in_graph.register('raw')
def _raw(build: Builder, fitted: Preprocessing, shape: Sequence[int]) -> None:
    _cast(build, 'FLOAT')


@in_graph.register('mean')
def _mean(build: Builder, fitted: Any, shape: Sequence[int]) -> None:
    _cast(build, 'FLOAT')
    build.op('Sub', np.asarray(fitted.mean, np.float32))


@in_graph.register('zca')
def _zca(build: Builder, fitted: Zca, shape: Sequence[int]) -> None:
    _cast(build, 'FLOAT')
    build.op('Reshape', np.array([-1, len(fitted.mean)]))
    _whiten(build, fitted, shape)


@in_graph.register('norm_zca')
def _norm_zca(build: Builder, fitted: NormZca, shape: Sequence[int]) -> None:
    # As preprocess.normalize_contrast does, in double precision.
    _cast(build, 'DOUBLE')
    rows = build.op('Reshape', np.array([-1, len(fitted.mean)]))
    mean = build.apply('ReduceMean', rows, axes=[1])
    centred = build.apply('Sub', rows, mean)
    build.apply('Mul', centred, centred)
    build.op('ReduceMean', axes=[1])
    build.op('Sqrt')
    # A flat picture is 0 already, whatever it is divided by. Others deviate by more than this.
    deviation = build.op('Max', np.array([1e-9]))
    build.apply('Div', centred, deviation)
    _cast(build, 'FLOAT')
    _whiten(build, fitted, shape)


def _whiten(build: Builder, fitted: Zca, shape: Sequence[int]) -> None:
    build.op('Sub', fitted.mean)
    build.op('MatMul', fitted.matrix)
    build.op('Reshape', np.array([-1, *shape]))
