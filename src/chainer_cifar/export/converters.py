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
    sizes = zip(function.inputs[0].shape[2:], (function.out_H, function.out_W), strict=True)
    scales = [1, 1, *(_scale(*pair) for pair in sizes)]
    build = _builder()
    build.op(
        'Resize',
        [x, '', params.context.add_const(np.array(scales, np.float32), 'scales')],
        mode='linear' if function.mode == 'bilinear' else 'nearest',
        coordinate_transformation_mode='align_corners' if function.align_corners else 'half_pixel',
    )
    return build.nodes(params.output_names)


def _scale(before: int, after: int) -> np.float32:
    """Return what a side is multiplied by. Of the product ONNX takes the whole part.

    So it must not be the least bit too small, as 224 / 96 is when it is rounded to float32.
    """
    scale = np.float32(after / before)
    if float(scale) * before < after:
        scale = np.nextafter(scale, np.float32(np.inf))
    return scale


def _builder() -> Any:
    packages.onnx_chainer()
    from onnx_chainer import onnx_helper

    return onnx_helper.GraphBuilder()
