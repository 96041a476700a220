"""Make an ONNX model compute in 8-bit integers, with onnxruntime's static quantization.

Convolutions and linear layers then take a quarter of the memory. The range of what each of them
sees is measured on pictures of the validation set.
"""

import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.errors import UserError, first_line
from chainer_cifar.export import packages
from chainer_cifar.export.input_graph import PICTURES, PREFIX

CALIBRATE = 512  # pictures on which ranges are measured
BATCH = 64
# Layers that are quantized; what lies between them stays in float32, unless it passes bytes on.
LAYERS = ('Conv', 'Gemm', 'MatMul', 'Add', 'Concat', 'MaxPool', 'AveragePool', 'GlobalAveragePool')


class Loss(NamedTuple):
    """What quantization costs on some pictures.

    Attributes:
        pictures: How many.
        error: Of the model in float32, percent.
        int8_error: Of the quantized one.
        changed: How many pictures get another class.
        difference: The mean one of a logit, as a share of the largest logit.
    """

    pictures: int
    error: float
    int8_error: float
    changed: int
    difference: float


def quantize(model: Any, pictures: NDArray[np.uint8]) -> Any:
    """Quantize a model that takes pictures; weights by channel, from -64 to 64.

    With eight bits, processors without instructions for neural nets (VNNI) would saturate, and the
    file would give other answers on them.

    Args:
        model: An `onnx.ModelProto`, which stays as it is.
        pictures: uint8 ``(N, C, H, W)``.

    Raises:
        UserError: onnxruntime cannot do it.
    """
    onnx, runtime = packages.onnx(), packages.onnxruntime()
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory() as folder:
        plain, merged, small = (
            pathlib.Path(folder, f'{name}.onnx') for name in ('plain', 'merged', 'small')
        )
        plain.write_bytes(model.SerializeToString())
        try:
            _merge(runtime, plain, merged)
            # The treatment of the input stays exact.
            names = [node.name for node in onnx.load(merged).graph.node]
            exact = [name for name in names if name.startswith(PREFIX)]
            quantization.quantize_static(
                merged,
                small,
                _Reader(pictures),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(LAYERS),
                per_channel=True,
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=exact,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
            quantized = onnx.load(small)
        except (OSError, MemoryError):
            raise
        except Exception as error:  # onnxruntime has a class for each kind of failure
            raise UserError(f'onnxruntime cannot quantize this net ({first_line(error)})') from None
    _forget_unused_domains(quantized)
    return quantized


def loss(
    logits: NDArray[np.float32], quantized: NDArray[np.float32], labels: NDArray[np.int32]
) -> Loss:
    """Tell what quantization changed in the logits ``(N, K)`` of pictures with these labels."""
    before, after = logits.argmax(axis=1), quantized.argmax(axis=1)
    return Loss(
        len(labels),
        100 * float((before != labels).mean()),
        100 * float((after != labels).mean()),
        int((before != after).sum()),
        float(np.abs(logits - quantized).mean() / np.abs(logits).max()),
    )


def _merge(runtime: Any, source: pathlib.Path, target: pathlib.Path) -> None:
    """Let onnxruntime merge batch normalizations into convolutions, and fold constants."""
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 4
    runtime.InferenceSession(source, options, providers=['CPUExecutionProvider'])


def _forget_unused_domains(model: Any) -> None:
    # onnxruntime names all makers of operators that it knows, though none of theirs is there.
    used = {node.domain for node in model.graph.node}
    kept = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


class _Reader:
    """Give onnxruntime the pictures by batches; it wants a `get_next`."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._batches = self._of(pictures)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch by the name of the input; None after the last."""
        return next(self._batches, None)

    @staticmethod
    def _of(pictures: NDArray[np.uint8]) -> Iterator[dict[str, NDArray[np.uint8]]]:
        for start in range(0, len(pictures), BATCH):
            yield {PICTURES: pictures[start : start + BATCH]}
