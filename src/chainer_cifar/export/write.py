"""Write a trained net as an ONNX file that is checked before it is there."""

import dataclasses
import pathlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainer_cifar.data.dataset import Dataset
from chainer_cifar.evaluation import image_sets, raw_pictures
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.export import check, input_graph, quantize, trace
from chainer_cifar.export.check import Checked
from chainer_cifar.export.metadata import Metadata
from chainer_cifar.export.session import OnnxNet
from chainer_cifar.files import atomic_write
from chainer_cifar.streams import printable

# Flags that say where the pictures are; if others were given, those of the run may be gone.
_PLACES = ('dataset', 'label')


class Exported(NamedTuple):
    """A net in ONNX, checked and not written yet.

    Attributes:
        model: An `onnx.ModelProto`, without metadata.
        checked: How near it is to Chainer.
        pictures: The data with pictures for images.
        data_checksum: Theirs; empty if they are not those that the run was trained on.
    """

    model: Any
    checked: Checked
    pictures: Dataset
    data_checksum: str


def convert(trained: Trained) -> Exported:
    """Turn a trained net, in Chainer's own code on the CPU, into ONNX; check it on test pictures.

    Raises:
        UserError: It cannot be done, the data are missing, or the two differ.
    """
    data = image_sets.load(trained)
    pictures = raw_pictures.of(trained, data)
    checksum = pictures.checksum() if data.checksum() == trained.data_checksum else ''
    shape = trained.input_transform.shape
    model = trace.trace(trained.net, shape)
    input_graph.put_before(model, trained.input_transform, shape)
    net = OnnxNet(model.SerializeToString(), 'the export')
    some = image_sets.spread(np.arange(len(pictures.test_images)), max(check.BATCHES))
    tests = _bytes(pictures.test_images[some])
    return Exported(model, check.against_chainer(trained, net, tests), pictures, checksum)


def in_int8(trained: Trained, exported: Exported) -> tuple[Any, quantize.Loss]:
    """Quantize the net, with validation pictures of the run; tell what it costs on them.

    Raises:
        UserError: There are no such pictures, nobody knows which they are, or onnxruntime cannot
            do it.
    """
    raw = dataclasses.replace(trained, data_checksum=exported.data_checksum)
    pictures, labels, index = image_sets.choices['valid'](raw, exported.pictures)
    calibrate = image_sets.spread(index, quantize.CALIBRATE)
    model = quantize.quantize(exported.model, _bytes(pictures[calibrate]))
    logits = []
    for each in (exported.model, model):
        net, size = OnnxNet(each.SerializeToString(), 'the export'), max(check.BATCHES)
        batches = (index[start : start + size] for start in range(0, len(index), size))
        logits.append(np.concatenate([net.logits(_bytes(pictures[some])) for some in batches]))
    before, after = logits
    return model, quantize.loss(before, after, labels[index])


def describe(
    trained: Trained, exported: Exported, license: str, quantized: dict[str, Any]
) -> Metadata:
    """Say of the file what `Metadata` has."""
    # The net was loaded for the CPU, wherever it was trained.
    of_run = {name: flag for name, flag in trained.replaced.items() if name not in _PLACES}
    return Metadata(
        classes=list(trained.class_names),
        flags=vars(trained.config) | of_run,
        # A name of a file may have bytes that are no text, which ONNX does not take.
        weights=printable(trained.weights),
        license='\n'.join(map(printable, license.splitlines())),
        data_checksum=exported.data_checksum,
        temperature=trained.temperature,
        fit=trained.input_transform.fit,
        checked=exported.checked._asdict(),
        quantized=quantized,
    )


def write(path: pathlib.Path, model: Any, metadata: Metadata) -> int:
    """Write the file with its metadata; return its size in bytes."""
    del model.metadata_props[:]
    for key, value in metadata.properties().items():
        model.metadata_props.add(key=key, value=value)
    content: bytes = model.SerializeToString()
    with atomic_write(path) as file:
        file.write(content)
    return len(content)


def _bytes(pictures: Any) -> NDArray[np.uint8]:
    """Read pictures, of which a run's may lie on a disk, into memory."""
    return np.ascontiguousarray(pictures, np.uint8)
