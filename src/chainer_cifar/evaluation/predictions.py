"""Turn predictions into rows, and rows into a table, JSON or CSV."""

import json
from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np

from chainer_cifar.arrays import Array
from chainer_cifar.evaluation.inference import log_probabilities
from chainer_cifar.registry import Registry
from chainer_cifar.streams import printable
from chainer_cifar.table import aligned, comma_separated

# `class` is a keyword, so this one cannot be written as a class.
Guess = TypedDict('Guess', {'class': str, 'probability': float})


UNKNOWN = 'unknown'  # the answer if no class is probable enough


class _Always(TypedDict):
    image: str  # its name
    top: list[Guess]  # the most probable classes, the most probable one first


class Row(_Always, total=False):
    """The prediction for one picture.

    `label` and `right` are there if its true class is known, `answer` and `rejected` if unsure ones
    are rejected; what is rejected is neither right nor wrong.
    """

    answer: str  # a class, or `UNKNOWN`, as a class may be called, too
    rejected: bool
    label: str  # the name of the true class
    right: bool


def guess(name: str, probability: float) -> str:
    """Write a class and its probability, 0 to 1, as a caption; the name may end in a number."""
    return f'{name} ({100 * probability:.0f} %)'


formats = Registry[Callable[[Sequence[Row]], str]]('format')


def rows(
    names: Sequence[str],
    logits: Array,
    class_names: Sequence[str],
    top: int,
    labels: Sequence[int | None] | None = None,
    reject: float = 0,
) -> list[Row]:
    """Make a row for each picture.

    Args:
        names: Names of the pictures.
        logits: float ``(N, K)``.
        class_names: K names.
        top: How many of the most probable classes to list.
        labels: The true class numbers; None if unknown.
        reject: Below this probability the answer is `UNKNOWN`; 0: there are no answers.
    """
    probabilities = np.exp(log_probabilities(logits))
    order = np.argsort(-probabilities, axis=1, kind='stable')[:, :top]
    found = []
    for i, name in enumerate(names):
        best: list[Guess] = [
            {'class': class_names[k], 'probability': float(probabilities[i, k])} for k in order[i]
        ]
        row: Row = {'image': name, 'top': best}
        rejected = best[0]['probability'] < reject
        if reject:
            row['answer'] = UNKNOWN if rejected else best[0]['class']
            row['rejected'] = rejected
        label = None if labels is None else labels[i]
        if label is not None:
            row['label'] = class_names[label]
            if not rejected:
                row['right'] = bool(order[i, 0] == label)
        found.append(row)
    return found


def score(rows: Sequence[Row]) -> str | None:
    """Write ``7 of 10 right, 2 unknown``, ``7 of 10 right``, or without labels ``2 of 12 unknown``.

    Unknown ones do not count among the ten. Return None if there is nothing to tell.
    """
    known = [row['right'] for row in rows if 'right' in row]
    unknown = sum(row.get('rejected', False) for row in rows)
    parts = [f'{sum(known)} of {len(known)} right'] if known else []
    if any('answer' in row for row in rows):
        parts.append(f'{unknown} unknown' if known else f'{unknown} of {len(rows)} unknown')
    return ', '.join(parts) or None


@formats.register('table')
def table(rows: Sequence[Row]) -> str:
    """Align columns for a reader."""
    texts = []
    for row in rows:
        cells = [printable(row['image'])]
        if 'answer' in row:
            cells.append(printable(row['answer']))
        for best in row['top']:
            cells += [printable(best['class']), f'{100 * best["probability"]:5.1f} %']
        if 'right' in row:
            cells.append('right' if row['right'] else f'wrong: {printable(row["label"])}')
        elif 'label' in row:
            cells.append(f'truth: {printable(row["label"])}')
        texts.append(cells)
    count = max(map(len, texts))
    texts = [cells + [''] * (count - len(cells)) for cells in texts]
    return '\n'.join(filter(None, [aligned(texts), score(rows)]))


@formats.register('json')
def as_json(rows: Sequence[Row]) -> str:
    """Write the rows as a list."""
    return json.dumps(rows, indent=1)


@formats.register('csv')
def as_csv(rows: Sequence[Row]) -> str:
    """Write a line for each picture: image, label (empty if unknown), class_1, probability_1, …

    Where unsure ones are rejected, `answer` stands after the label.
    """
    numbers = range(1, len(rows[0]['top']) + 1)
    columns = [f'{name}_{number}' for number in numbers for name in ('class', 'probability')]
    answers = ['answer'] if 'answer' in rows[0] else []
    lines: list[list[object]] = [['image', 'label', *answers, *columns]]
    for row in rows:
        best = [value for guess in row['top'] for value in guess.values()]
        answer = [row['answer']] if answers else []
        lines.append([row['image'], row.get('label', ''), *answer, *best])
    return comma_separated(lines)
