"""What an ONNX file of ours says of itself beside the graph: classes, licence, flags."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from chainer_cifar import json_file
from chainer_cifar.data import store
from chainer_cifar.errors import UserError

FORMAT = '1'  # a later one is refused
_FORMAT_KEY = 'chainer_cifar_format'
NO_LICENCE = 'not stated'


class Metadata(NamedTuple):
    """What is in the file; texts and JSON, so that every program can read it.

    Attributes:
        classes: The names of the classes in the order of the logits.
        flags: The flags of the run (see `TrainConfig`), but where the pictures of the export were.
        weights: The file that the net's weights came from.
        license: What the user said of it.
        data_checksum: `Dataset.checksum` of the pictures it was trained on; empty if unknown.
        temperature: By which logits are divided before the softmax.
        fit: How a picture of other proportions gets the size of the input; see `picture.read`.
        checked: How the file was checked against Chainer.
        quantized: How, and what that cost; empty for a file in float32.
    """

    classes: list[str]
    flags: dict[str, Any]
    weights: str
    license: str
    data_checksum: str
    temperature: float
    fit: str
    checked: dict[str, Any]
    quantized: dict[str, Any]

    def properties(self) -> dict[str, str]:
        """Return keys and values as ONNX has them."""
        values = {_FORMAT_KEY: FORMAT}
        for name, value in self._asdict().items():
            values[name] = value if isinstance(value, str) else json.dumps(value)
        return values


def read(properties: Mapping[str, str]) -> Metadata:
    """Read what `Metadata.properties` returned.

    Raises:
        UserError: It is of another program, of a later format, or damaged.
    """
    found = properties.get(_FORMAT_KEY)
    if found is None:
        raise UserError('not made by export.py, so that its classes and input are unknown')
    if found != FORMAT:
        raise UserError('made by a later version of export.py; install that one, or export again')
    values: dict[str, Any] = {}
    try:
        for name, kind in _TYPES.items():
            text = properties[name] if name in properties else _DEFAULTS[name]
            values[name] = text if kind is str else json_file.loads(text)
            if not isinstance(values[name], kind):
                raise ValueError(f'{name} is none')
        if not all(isinstance(name, str) for name in values['classes']) or not values['classes']:
            raise ValueError('classes are no names')
        values['temperature'] = float(values['temperature'])
        if not 0 < values['temperature'] < float('inf'):
            raise ValueError('temperature is not above 0')
        store.require_fit(values['fit'])
    except (KeyError, ValueError) as error:
        raise UserError(f'its metadata are damaged ({error}); export again') from None
    return Metadata(**values)


_TYPES: dict[str, Any] = {
    'classes': list,
    'flags': dict,
    'weights': str,
    'license': str,
    'data_checksum': str,
    'temperature': (int, float),
    'fit': str,
    'checked': dict,
    'quantized': dict,
}
_DEFAULTS = {'fit': store.CROP}  # of files that do not say it, which are of earlier versions
