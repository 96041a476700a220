"""Run an ONNX file of ours in onnxruntime, in the place of a trained net.

A file comes from anywhere. So it is looked through before onnxruntime sees it: it may not name
other files, nor hold loops, functions or operators of other makers.
"""

import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import chainer
import numpy as np
from numpy.typing import NDArray

from chainer_cifar import config as train_config
from chainer_cifar.arrays import Array
from chainer_cifar.data import store
from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import Raw
from chainer_cifar.errors import UserError, first_line, prefixed
from chainer_cifar.evaluation import raw_pictures
from chainer_cifar.evaluation.trained import Trained, replace
from chainer_cifar.export import metadata, packages
from chainer_cifar.export.input_graph import PICTURES
from chainer_cifar.export.trace import OUTPUT
from chainer_cifar.parallel.environment import cores

SUFFIX = '.onnx'
MOST = 2**31 - 1  # bytes of a file, as in all of its format
_OURS = ('', 'ai.onnx')  # domains of operators

# Flags of a run that say where Chainer computes.
_OF_CHAINER = ('gpu', 'cpu_engine')


class OnnxNet(chainer.Chain):
    """A net whose logits onnxruntime computes, on the CPU.

    Args:
        content: The ONNX file.
        name: Its name, for errors.
    """

    def __init__(self, content: bytes, name: str) -> None:
        super().__init__()
        self.name_of_file = name
        runtime = packages.onnxruntime()
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = _threads()
        try:
            self.session = runtime.InferenceSession(
                content, options, providers=['CPUExecutionProvider']
            )
        except Exception as error:  # onnxruntime has a class for each kind of failure
            raise self._failed(error) from None

    def forward(self, x: Array | chainer.Variable) -> chainer.Variable:
        """Compute logits, float32 ``(N, K)``, of pictures with values from 0 to 255."""
        pictures = x.array if isinstance(x, chainer.Variable) else x
        return chainer.Variable(self.logits(np.rint(pictures).clip(0, 255).astype(np.uint8)))

    def logits(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute logits, float32 ``(N, K)``, of pictures, uint8 ``(N, C, H, W)``."""
        try:
            (logits,) = self.session.run([OUTPUT], {PICTURES: pictures})
        except Exception as error:
            raise self._failed(error) from None
        if logits.ndim != 2 or len(logits) != len(pictures) or logits.dtype != np.float32:
            raise UserError(f'{self.name_of_file}: gives no logits; export it again')
        return logits

    def _failed(self, error: Exception) -> UserError:
        text = first_line(error)
        return UserError(f'{self.name_of_file}: onnxruntime cannot run it ({text}); export again')


def _threads() -> int:
    """Read OMP_NUM_THREADS, of which the first counts in ``4,2``; 0 if it is not a number.

    More than there are cores would only wait, and they do it in a loop.
    """
    first = os.environ.get('OMP_NUM_THREADS', '').split(',')[0].strip()
    return min(int(first), cores()) if first.isascii() and first.isdigit() else 0


def load(path: str | os.PathLike[str], flags: Mapping[str, Any]) -> Trained:
    """Load an ONNX file of `export.py` as if it were a run.

    Its pictures are raw ones: the file treats them itself. So its data are the run's images, if
    these are raw, or the raw pictures beside them.

    Args:
        path: The file.
        flags: Flags of `TrainConfig` that replace those of the run.

    Raises:
        UserError: The file is missing or damaged, not of ours, or does what such a file must not.
    """
    for flag in _OF_CHAINER:
        if flag in flags:
            raise UserError(f'--{flag}: has no meaning for an ONNX file, which runs on the CPU')
    path = pathlib.Path(path)
    content, described = read(path)
    config = train_config.from_dict(described.flags, path)
    here = {'gpu': -1, 'cpu_engine': 'chainer', 'dataset': raw_pictures.beside(config.dataset)}
    if 'dataset' not in flags:
        here['label'] = config.label  # which may lie elsewhere
    config, replaced = replace(config, {**here, **flags})
    net = OnnxNet(content, str(path))
    with prefixed(f'{path}: '):
        shape = _check_ends(net.session, len(described.classes))
    transform = InputTransform(Raw(), Normalization(0, 1, shape[0]), shape, described.fit)
    return Trained(
        weights=path,
        config=config,
        class_names=described.classes,
        input_transform=transform,
        net=net,
        device=config.open_device(),
        data_checksum=described.data_checksum,
        temperature=described.temperature,
        replaced=replaced,
    )


def read(path: pathlib.Path) -> tuple[bytes, metadata.Metadata]:
    """Read an ONNX file and what it says of itself.

    Raises:
        UserError: It is no such file, or does what such a file must not do.
    """
    onnx = packages.onnx()
    try:
        if path.stat().st_size > MOST:
            raise UserError(f'{path}: has more than 2 GB, which no ONNX file may have')
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f'{path}: no such file; make it with export.py') from None
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:
        text = first_line(error)
        raise UserError(f'{path}: not a readable ONNX file ({text}); export it again') from None
    with prefixed(f'{path}: '):
        _check(model)
        described = metadata.read({each.key: each.value for each in model.metadata_props})
    return content, described


def _check(model: Any) -> None:
    """Refuse what no file of ours has and a file of a stranger might harm with."""
    if model.functions:
        raise UserError('has functions of its own; export the run again')
    external = packages.onnx().TensorProto.EXTERNAL
    for tensor in _tensors(model.graph):
        if tensor.data_location == external or tensor.external_data:
            raise UserError(
                'keeps its weights in other files, which is refused, since it could name any; '
                'export the run again'
            )
    for node in model.graph.node:
        if node.domain not in _OURS:
            raise UserError(f"has an operator of '{node.domain}'; export the run again")
        if any(each.HasField('g') or each.graphs for each in node.attribute):
            raise UserError(f"has the operator '{node.op_type}'; export the run again")


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield all tensors that a graph holds, sparse ones in parts; graphs in it are refused."""
    sparse = list(graph.sparse_initializer)
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for tensor in sparse:
        yield tensor.values
        yield tensor.indices


def _check_ends(session: Any, classes: int) -> store.Shape:
    """Refuse other inputs and outputs than those of our files; return the shape of a picture."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if [(each.name, each.type) for each in inputs] != [(PICTURES, 'tensor(uint8)')]:
        raise UserError('takes no pictures as export.py says them; export the run again')
    shape = inputs[0].shape[1:]
    try:
        if not all(isinstance(length, int) for length in shape):  # a name means any
            raise ValueError('nobody knows their size')
        shape = store.require_shape(tuple(shape))
    except ValueError as error:
        raise UserError(
            f'takes no pictures of a size of ours ({error}); export the run again'
        ) from None
    ends = [each.shape[1:] for each in outputs if each.name == OUTPUT]
    if len(outputs) != 1 or ends != [[classes]]:
        raise UserError(f'does not give {classes} logits, one for each class; export the run again')
    return shape
