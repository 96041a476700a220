"""What onnx_chainer lacks: functions of ours, and those of Chainer's that it gets wrong."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from chainer_cifar.export import packages


def converters() -> dict[str, Callable[[Any], Any]]:
    """Return a converter for each function, by the name of its class.

    A converter takes the exporter's `FunctionConverterParams` and returns ONNX nodes.
    """
    return {'GELU': _gelu, 'ResizeImages': _resize_images}


def _gelu(params: Any) -> Any:
    build = _builder()
    (x,) = params.input_names
    root, one, half = (
        params.context.add_const(np.array(number, np.float32), name)
        for number, name in ((math.sqrt(0.5), 'root'), (1, 'one'), (0.5, 'half'))
    )
    distribution = build.op('Add', [build.op('Erf', [build.op('Mul', [x, root])]), one])
    build.op('Mul', [build.op('Mul', [x, half]), distribution])
    return build.nodes(params.output_names)


def _resize_images(params: Any) -> Any:
    # The exporter's own differs from Chainer at the edges, as it says itself.
    function = params.func
    (x,) = params.input_names
    height, width = function.inputs[0].shape[2:]
    scales = [1, 1, function.out_H / height, function.out_W / width]
    build = _builder()
    build.op(
        'Resize',
        [x, '', params.context.add_const(np.array(scales, np.float32), 'scales')],
        mode='linear' if function.mode == 'bilinear' else 'nearest',
        coordinate_transformation_mode='align_corners' if function.align_corners else 'half_pixel',
    )
    return build.nodes(params.output_names)


def _builder() -> Any:
    packages.onnx_chainer()
    from onnx_chainer import onnx_helper

    return onnx_helper.GraphBuilder()
