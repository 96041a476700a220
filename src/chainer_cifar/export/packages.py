"""Import the packages of the extra `onnx`, which `pip install .` alone does not bring."""

import importlib
import sys
import types
from typing import Any

from chainer_cifar import extras


def onnx() -> Any:
    """Return the package `onnx`; raise UserError if it is not installed."""
    return _package('onnx')


def onnxruntime() -> Any:
    """Return the package `onnxruntime`; raise UserError if it is not installed."""
    runtime = _package('onnxruntime')
    runtime.set_default_logger_severity(4)  # fatal errors only; others are raised, too
    return runtime


def onnx_chainer() -> Any:
    """Return Chainer's exporter, made to work with today's `onnx`, which UserError says is missing.

    It was written for onnx 1.6, whose module `mapping` is gone; its functions have other names now.
    """
    package = onnx()
    if 'onnx.mapping' not in sys.modules:
        helper = package.helper
        mapping: Any = types.ModuleType('onnx.mapping')
        kinds = [kind for kind in package.TensorProto.DataType.values() if kind]
        kinds = [kind for kind in kinds if kind in helper.get_all_tensor_dtypes()]
        mapping.TENSOR_TYPE_TO_NP_TYPE = {
            kind: helper.tensor_dtype_to_np_dtype(kind) for kind in kinds
        }
        mapping.NP_TYPE_TO_TENSOR_TYPE = {
            dtype: kind for kind, dtype in mapping.TENSOR_TYPE_TO_NP_TYPE.items()
        }
        # What keeps constants readable; without an entry they are bytes, which mean the same.
        mapping.STORAGE_TENSOR_TYPE_TO_FIELD = {}
        sys.modules['onnx.mapping'] = package.mapping = mapping
    return importlib.import_module('onnx_chainer')


def _package(name: str) -> Any:
    return extras.package(name, 'onnx', 'ONNX')
