"""What a report tells of one run: what is in its files, and how its net does on the test set."""

import base64
import dataclasses
import io
import pathlib
import shlex
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chainer_cifar import config as train_config
from chainer_cifar import device as devices
from chainer_cifar import figures
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import comparison, pictures, report, trained
from chainer_cifar.evaluation.history import History

MISTAKE = 96  # pixels of a picture on the page, at most
MOST_CELLS = 100  # classes of a confusion matrix with a cell for each pair; 1,000 took 100 MB
MOST_CONFUSED = 50  # pairs of classes that are listed otherwise
_HEAT = 31, 104, 183  # as in style.css


class Matrix(NamedTuple):
    """A confusion matrix.

    Attributes:
        cells: Rows of pairs of count and share of the true class; none of very many classes.
        picture: The shares as data URI, a pixel for each pair of classes; empty if there are cells.
        confused: Most frequent first: true class, predicted class, count; none if there are cells.
    """

    cells: list[list[tuple[int, float]]]
    picture: str = ''
    confused: Sequence[tuple[str, str, int]] = ()


@dataclasses.dataclass(frozen=True)
class Details:
    """Plain values for page.html; texts are as they are in the files, for the page to escape.

    Attributes:
        run: The run.
        notes: Lines on what is missing or other than one thinks.
        numbers: Of `report.measure`; None if the weights could not be tried on the test images.
        matrix: Its confusion matrix; None if there are no numbers.
        mistakes: A picture as data URI, its width and height on the page, predicted class, its
            probability in percent, true class.
        mistakes_count: How many images are misclassified; `mistakes` are some of them.
        total: How many test images there are.
        filters: Captions and pictures as data URIs.
        flags: Pairs of group and its flags: name, value, whether it is at its default.
        environment: Pairs of what and a text.
    """

    run: History
    notes: list[str]
    numbers: report.Report | None
    matrix: Matrix | None
    mistakes: list[tuple[str, int, int, str, float, str]]
    mistakes_count: int
    total: int
    filters: list[tuple[str, str]]
    flags: list[tuple[str, list[tuple[str, str, bool]]]]
    environment: list[tuple[str, str]]


def find(run: History, flags: dict[str, Any]) -> Details:
    """Gather it; the net is tried on the test images, with a bar of progress.

    Args:
        run: Read by history.py.
        flags: Flags of `TrainConfig` that replace those of the run, such as ``gpu``.
    """
    notes, numbers, mistakes, filters = [], None, None, []
    try:
        looked_at = pictures.NetAndData(trained.load(str(run.folder.weights), flags))
        filters = pictures.filter_sheets(looked_at)
        logits, labels = looked_at.test_logits
    except UserError as error:
        # A report of what there is, as of a run that has no weights yet, is of use, too.
        notes.append(f'The net could not be tried on the test images: {error}')
    else:
        numbers = report.measure(logits, labels, looked_at.trained.class_names)
        mistakes = pictures.surest_mistakes(looked_at)
        if looked_at.data.checksum() != looked_at.trained.data_checksum:
            notes.append('The test images are not of the data it was trained on.')
    return Details(
        run,
        notes,
        numbers,
        matrix_of(numbers['confusion'], looked_at.trained.class_names) if numbers else None,
        _mistakes(mistakes) if mistakes else [],
        mistakes.wrong if mistakes else 0,
        mistakes.total if mistakes else 0,
        [(caption, data_uri(sheet)) for caption, sheet in filters],
        _flags(run),
        _environment(run),
    )


def data_uri(picture: NDArray[np.uint8]) -> str:
    """A picture, uint8 ``(H, W, 3)``, as a PNG file inside of an address."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, 'PNG', optimize=True)
    return f'data:image/png;base64,{base64.b64encode(out.getvalue()).decode("ascii")}'


def thumbnails(pictures: NDArray[np.uint8]) -> list[tuple[str, int, int]]:
    """Make data URIs of one picture and more, uint8 ``(N, 3, H, W)``, with their size on a page."""
    images = figures.shrunk(pictures, MISTAKE)
    height, width = images.shape[2:]
    zoom = MISTAKE // max(height, width)
    return [(data_uri(image.transpose(1, 2, 0)), zoom * width, zoom * height) for image in images]


def matrix_of(confusion: list[list[int]], names: Sequence[str]) -> Matrix:
    """Make what a page shows of a confusion matrix, whose rows are true classes."""
    if len(names) <= MOST_CELLS:
        return Matrix([[(count, count / max(sum(row), 1)) for count in row] for row in confusion])
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    picture = np.rint(255 - shares[..., None] * (255 - np.array(_HEAT))).astype(np.uint8)
    wrong = counts - np.diag(np.diag(counts))
    most = np.argsort(-wrong, axis=None, kind='stable')[:MOST_CONFUSED]
    pairs = zip(*np.unravel_index(most, wrong.shape), strict=True)
    confused = [(names[i], names[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]
    return Matrix([], data_uri(picture), confused)


def _mistakes(found: pictures.Mistakes) -> list[tuple[str, int, int, str, float, str]]:
    if not len(found.pictures):
        return []
    return [
        (*shown, who, 100 * sure, truth)
        for shown, (who, sure, truth) in zip(thumbnails(found.pictures), found.told, strict=True)
    ]


def _flags(run: History) -> list[tuple[str, list[tuple[str, str, bool]]]]:
    fields = {field.name: field for field in dataclasses.fields(train_config.TrainConfig)}
    defaults = vars(train_config.TrainConfig())
    groups: dict[str, list[tuple[str, str, bool]]] = {group: [] for group in train_config.GROUPS}
    for name, value in run.flags.items():
        field = fields.get(name)
        # This version may not know the flag any more.
        group = field.metadata['group'] if field else 'other'
        row = f'--{name}', comparison.told(value), field is not None and value == defaults[name]
        groups.setdefault(group, []).append(row)
    return [(group, rows) for group, rows in groups.items() if rows]


def _environment(run: History) -> list[tuple[str, str]]:
    description = run.description
    rows = [('command', _command(description.get('command')))]
    parts = [('', description)]
    for part in description.get('resumed', ()):
        parts.append((f' after iteration {part.get("after_iteration", "?")}', part))
    for when, part in parts:
        rows.append((f'device{when}', _device(part.get('device'))))
        versions = part.get('versions')
        if isinstance(versions, dict):
            rows.append((f'versions{when}', ', '.join(f'{k} {v}' for k, v in versions.items())))
        rows.append((f'git revision{when}', part.get('git')))
    rows.append(('data checksum (CRC-32)', description.get('data_checksum')))
    classes = description.get('classes')
    rows.append(('classes', ', '.join(map(str, classes)) if classes else None))
    return [(what, str(text)) for what, text in rows if text]


def _command(words: object) -> str | None:
    if not isinstance(words, list) or not words:
        return None
    if not all(isinstance(word, str) for word in words):
        return None
    # Not where the program lay.
    return shlex.join([pathlib.PurePath(words[0]).name, *words[1:]])


def _device(facts: Any) -> str | None:
    try:
        return devices.in_words(facts)
    except (KeyError, TypeError, AttributeError):
        return None
