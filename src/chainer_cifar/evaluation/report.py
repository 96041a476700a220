"""Report how good a net is on a set of images, class by class, as numbers and as text."""

from collections.abc import Sequence
from types import ModuleType
from typing import TypedDict

import numpy as np

from chainer_cifar.arrays import Array
from chainer_cifar.evaluation.inference import log_probabilities
from chainer_cifar.evaluation.metrics import TOP_5_CLASSES, Top5Error, among_top_5
from chainer_cifar.streams import printable
from chainer_cifar.table import cells, padded

SCREEN_CLASSES = 20  # the matrix of more classes is wider than a screen


class Scores(TypedDict):
    """Numbers from 0 to 1."""

    precision: float
    recall: float
    f1: float


class ClassScores(Scores):
    """The scores of one class."""

    name: str
    support: int  # images of this class


class TwoClasses(TypedDict, total=False):
    """What only sets of images of two classes have; 0 to 1, of the second class."""

    roc_auc: float  # how probable it is that one of it gets a higher probability than another
    average_precision: float  # the area below precision over recall


class Report(Top5Error, TwoClasses):
    """All numbers of a report."""

    loss: float  # mean cross-entropy, nats
    error: float  # percent
    accuracy: float  # percent
    classes: list[ClassScores]
    averages: dict[str, Scores]  # over the classes: macro, and weighted by support
    confusion: list[list[int]]  # a row for each true class, a column for each predicted one


def measure(logits: Array, labels: Array, class_names: Sequence[str]) -> Report:
    """Compute the numbers of a report.

    Args:
        logits: float ``(N, K)``.
        labels: integers ``(N,)``.
        class_names: K names.
    """
    predicted, every = logits.argmax(axis=1), range(len(class_names))
    correct = int((predicted == labels).sum())
    precision, recall, f1 = _scores(labels, predicted, every, average=None)
    support = np.bincount(labels, minlength=len(class_names))
    top_5: Top5Error = {}
    if len(class_names) >= TOP_5_CLASSES:
        top_5['top5_error'] = 100 * (1 - int(among_top_5(logits, labels).sum()) / len(labels))
    two: TwoClasses = _of_two(logits, labels) if len(class_names) == 2 else {}
    return {
        'loss': float(-log_probabilities(logits)[np.arange(len(labels)), labels].mean()),
        'error': 100 * (1 - correct / len(labels)),
        'accuracy': 100 * correct / len(labels),
        **top_5,
        **two,
        'classes': [
            {
                'name': name,
                'precision': float(precision[k]),
                'recall': float(recall[k]),
                'f1': float(f1[k]),
                'support': int(support[k]),
            }
            for k, name in enumerate(class_names)
        ],
        'averages': {
            average: _average(*_scores(labels, predicted, every, average))
            for average in ('macro', 'weighted')
        },
        'confusion': _metrics().confusion_matrix(labels, predicted, labels=every).tolist(),
    }


def _metrics() -> ModuleType:
    from sklearn import metrics  # takes a second, which those who train can save

    return metrics


def _scores(
    labels: Array, predicted: Array, every: Sequence[int], average: str | None
) -> tuple[Array, Array, Array]:
    """Compute precision, recall and f1: an array of K numbers each, or an average of these."""
    precision, recall, f1, _ = _metrics().precision_recall_fscore_support(
        labels, predicted, labels=every, average=average, zero_division=0
    )
    return precision, recall, f1


def _of_two(logits: Array, labels: Array) -> TwoClasses:
    if len(np.unique(labels)) < 2:
        return {}  # there is nothing to tell apart
    score = logits[:, 1].astype(np.float64) - logits[:, 0]
    return {
        'roc_auc': float(_metrics().roc_auc_score(labels, score)),
        'average_precision': float(_metrics().average_precision_score(labels, score)),
    }


def _average(precision: Array, recall: Array, f1: Array) -> Scores:
    return {'precision': float(precision), 'recall': float(recall), 'f1': float(f1)}


def text(numbers: Report, logits: Array, labels: Array, class_names: Sequence[str]) -> str:
    """Write the report as lines: loss, error, accuracy, scikit-learn's classification_report.

    A score of 0/0 counts as 0.

    Args:
        numbers: What `measure` returned for the other arguments.
        logits: float ``(N, K)``.
        labels: integers ``(N,)``.
        class_names: K names.
    """
    # scikit-learn counts letters, of which some are two cells wide and some none. So it aligns
    # what is as long as a name is wide, and then the names take these places.
    names = list(map(printable, class_names))
    places = ['x' * cells(name) for name in names]
    table: str = _metrics().classification_report(
        labels,
        logits.argmax(axis=1),
        labels=range(len(class_names)),
        target_names=places,
        zero_division=0,
    )
    lines = table.rstrip().split('\n')  # the first two are the heading and a blank
    for number, (name, place) in enumerate(zip(names, places, strict=True), 2):
        lines[number] = lines[number].replace(place, name, 1)
    classes = '\n'.join(lines)
    top_5 = f'  top-5 error {numbers["top5_error"]:.2f} %' if 'top5_error' in numbers else ''
    two = ''
    if 'roc_auc' in numbers:
        two = (
            f'\nROC-AUC {numbers["roc_auc"]:.4f}  average precision '
            f'{numbers["average_precision"]:.4f} ({printable(class_names[1])})'
        )
    return (
        f'loss {numbers["loss"]:.4f}  error {numbers["error"]:.2f} %  '
        f'accuracy {numbers["accuracy"]:.2f} %{top_5}{two}\n\n{classes}'
    )


def matrix_text(matrix: Sequence[Sequence[int]], class_names: Sequence[str]) -> str:
    """Write a confusion matrix: true classes down, predicted ones, by their numbers, across."""
    numbers = range(len(class_names))
    width = max(len(str(cell)) for row in (numbers, *matrix) for cell in row) + 2
    names = [f'{printable(name)} {number}' for number, name in enumerate(class_names)]
    left = max(map(cells, names))
    lines = [
        'confusion matrix (rows: true class and its number; columns: number of the predicted '
        'class)',
        '',
    ]
    lines.append(' ' * left + ''.join(f'{number:{width}}' for number in numbers))
    for name, row in zip(names, matrix, strict=True):
        lines.append(padded(name, left, right=True) + ''.join(f'{cell:{width}}' for cell in row))
    return '\n'.join(lines)
