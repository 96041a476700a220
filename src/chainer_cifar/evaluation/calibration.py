"""Are probabilities what they say? Of answers that a net is 80 % sure of, 80 % should be right.

Nets are mostly too sure. One number mends most of it: logits are divided by a temperature, which is
chosen on validation images (Guo et al., On Calibration of Modern Neural Networks, 2017). No class
changes by it. The temperature lies beside the weights, and says which weights it belongs to.
"""

import json
import math
import pathlib
import zlib
from typing import TypedDict

import numpy as np
import scipy

from chainer_cifar import json_file, runs
from chainer_cifar.arrays import Array
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation.inference import log_probabilities
from chainer_cifar.files import atomic_write
from chainer_cifar.streams import tell

BINS = 15  # of confidence, as in that paper
LIMIT = 20.0  # temperatures are from 1 / LIMIT to LIMIT
FEW = 100  # images, of which a temperature cannot be told well
FORMAT = 1  # of the file


class Bin(TypedDict):
    """The images of whose class the net is about equally sure."""

    images: int
    confidence: float  # the mean probability of the predicted class, 0 to 1
    accuracy: float  # the share that is right, 0 to 1


class Calibration(TypedDict):
    """How far probabilities are from what happens."""

    ece: float  # expected calibration error, percent: the mean gap of the bins
    loss: float  # mean cross-entropy, nats
    bins: list[Bin]  # of equal width in confidence, from 0 to 1


def measure(logits: Array, labels: Array, temperature: float = 1.0) -> Calibration:
    """Compare confidence and accuracy.

    Args:
        logits: float ``(N, K)``.
        labels: integers ``(N,)``.
        temperature: By which the logits are divided first.
    """
    logs = log_probabilities(np.asarray(logits, np.float64) / temperature)
    confidence = np.exp(logs.max(axis=1))
    right = logits.argmax(axis=1) == labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts, sure, correct = (
        np.bincount(place, weights, BINS) for weights in (None, confidence, right)
    )
    some = np.maximum(counts, 1)
    gap = float(np.abs(sure - correct).sum() / len(labels))
    bins: list[Bin] = [
        {'images': int(n), 'confidence': float(c), 'accuracy': float(a)}
        for n, c, a in zip(counts, sure / some, correct / some, strict=True)
    ]
    loss = -float(logs[np.arange(len(labels)), labels].mean())
    return {'ece': 100 * gap, 'loss': loss, 'bins': bins}


def fit(logits: Array, labels: Array) -> float:
    """Find the temperature of the lowest mean cross-entropy; for the arguments see `measure`.

    Raises:
        UserError: There is none: the images do not tell how sure the net may be.
    """
    if (logits.argmax(axis=1) == labels).all():
        # The loss falls for ever with the temperature: every answer would become certain.
        raise UserError(
            f'the net is right on all {len(labels):,} of these images, so they do not tell how '
            'often it errs; no temperature is written'
        )
    values = np.asarray(logits, np.float64)
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        logs = log_probabilities(values / math.exp(log_temperature))
        return -float(logs[rows, labels].mean())

    limit = math.log(LIMIT)
    found = scipy.optimize.minimize_scalar(loss, bounds=(-limit, limit), method='bounded')
    if min(loss(-limit), loss(limit)) <= found.fun:
        raise UserError(
            f'on these {len(labels):,} images no temperature from {1 / LIMIT:g} to {LIMIT:g} is '
            'best; none is written'
        )
    return math.exp(float(found.x))


def path_of(weights: pathlib.Path) -> pathlib.Path:
    """Return the path of the file with the temperature of a file of weights."""
    return weights.with_name(runs.TEMPERATURE.format(weights.stem))


def write(weights: pathlib.Path, temperature: float) -> pathlib.Path:
    """Write the temperature of a file of weights beside it; return the path."""
    path = path_of(weights)
    content = {'format': FORMAT, 'temperature': temperature, 'weights_crc32': _checksum(weights)}
    with atomic_write(path, 'w') as file:
        json.dump(content, file, indent=1)
    return path


def read(weights: pathlib.Path) -> float:
    """Read the temperature of a file of weights; 1 if it has none.

    One of earlier weights, as when the training went on, is left out, with a warning.

    Raises:
        UserError: The file is damaged, or of a later version.
    """
    path = path_of(weights)
    if not path.is_file():
        return 1.0
    try:
        content = json_file.read(path)
        runs.require_format(content['format'])
        temperature = float(content['temperature'])
        if not 1 / LIMIT <= temperature <= LIMIT:
            raise ValueError(f'temperature {temperature} is not from {1 / LIMIT} to {LIMIT}')
        checksum = str(content['weights_crc32'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path}: cannot be read ({error}); make it again with evaluate.py --calibrate, or '
            f'delete it'
        ) from None
    if checksum != _checksum(weights):
        tell(
            f'warning: {path}: belongs to other weights than {weights.name}, so it is left out; '
            'make it again with evaluate.py --calibrate'
        )
        return 1.0
    return temperature


def _checksum(weights: pathlib.Path) -> str:
    return f'{zlib.crc32(weights.read_bytes()):08x}'
