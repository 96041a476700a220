"""Predictions as rows, and the rows as a table, as JSON and as CSV."""

import csv
import io
import json
import os

import numpy as np

from chainer_cifar.evaluation.inference import log_probabilities
from chainer_cifar.registry import Registry
from chainer_cifar.table import aligned

formats = Registry('format')


def rows(names, logits, class_names, top, labels=None):
    """One dict for each picture.

    Args:
        names (list of str): Of the pictures.
        logits (numpy.ndarray): float ``(N, K)``.
        class_names (list of str): K of them.
        top (int): How many of the most probable classes are told.
        labels (list): The true class numbers; None for what is not known.

    Returns:
        list of dict: ``image``; ``top``, a list of dicts of ``class`` and ``probability``, the most
        probable first; and where the true class is known ``label``, its name, and ``right``.
    """
    probabilities = np.exp(log_probabilities(logits))
    order = np.argsort(-probabilities, axis=1, kind='stable')[:, :top]
    found = []
    for i, name in enumerate(names):
        best = [
            {'class': class_names[k], 'probability': float(probabilities[i, k])} for k in order[i]
        ]
        row = {'image': name, 'top': best}
        if labels is not None and labels[i] is not None:
            row |= {'label': class_names[labels[i]], 'right': bool(order[i, 0] == labels[i])}
        found.append(row)
    return found


def score(rows):
    """``7 of 10 right``; None where no label is known."""
    known = [row['right'] for row in rows if 'right' in row]
    return f'{sum(known)} of {len(known)} right' if known else None


@formats.register('table')
def table(rows):
    """Aligned columns for a reader."""
    texts = []
    for row in rows:
        cells = [row['image']]
        for best in row['top']:
            cells += [best['class'], f'{100 * best["probability"]:5.1f} %']
        if 'right' in row:
            cells.append('right' if row['right'] else f'wrong: {row["label"]}')
        texts.append(cells)
    count = max(map(len, texts))
    texts = [cells + [''] * (count - len(cells)) for cells in texts]
    return '\n'.join(filter(None, [aligned(texts), score(rows)]))


@formats.register('json')
def as_json(rows):
    """A list of the rows."""
    return json.dumps(rows, indent=1)


@formats.register('csv')
def as_csv(rows):
    """A line for each picture: image, label (empty if not known), class_1, probability_1, …"""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    numbers = range(1, len(rows[0]['top']) + 1)
    columns = [f'{name}_{number}' for number in numbers for name in ('class', 'probability')]
    writer.writerow(['image', 'label', *columns])
    for row in rows:
        best = [value for entry in row['top'] for value in entry.values()]
        writer.writerow([row['image'], row.get('label', ''), *best])
    return out.getvalue().rstrip('\n')


def printable(path):
    """The path as a line of text, whatever bytes its name is of."""
    text = os.fsencode(path).decode('utf-8', 'replace')
    return ''.join(letter if letter.isprintable() else '\ufffd' for letter in text)
