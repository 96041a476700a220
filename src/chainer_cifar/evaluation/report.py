"""How good a net is on a set of images, class by class: numbers, and the same as text."""

import numpy as np
from sklearn import metrics

from chainer_cifar.evaluation.inference import log_probabilities
from chainer_cifar.evaluation.metrics import TOP_5_CLASSES, among_top_5
from chainer_cifar.streams import printable

SCREEN_CLASSES = 20  # the matrix of more classes is wider than a screen


def measure(logits, labels, class_names):
    """The numbers of a report.

    Args:
        logits (numpy.ndarray): float ``(N, K)``.
        labels (numpy.ndarray): integers ``(N,)``.
        class_names (list of str): K of them.

    Returns:
        dict: ``loss`` (mean cross-entropy, nats), ``error`` and ``accuracy`` (percent), and with
        ten classes or more ``top5_error``;
        ``classes``, a list of dicts of name, precision, recall, f1 (0 to 1) and support, and
        ``averages`` of them over the classes, ``macro`` and ``weighted`` by support; ``confusion``,
        K lists of K counts: a row for each true class, a column for each predicted one.
    """
    predicted, every = logits.argmax(axis=1), range(len(class_names))
    correct = int((predicted == labels).sum())
    by_class = _scores(labels, predicted, every, average=None)
    support = np.bincount(labels, minlength=len(class_names))
    top_5 = {}
    if len(class_names) >= TOP_5_CLASSES:
        top_5['top5_error'] = 100 * (1 - int(among_top_5(logits, labels).sum()) / len(labels))
    return {
        'loss': float(-log_probabilities(logits)[np.arange(len(labels)), labels].mean()),
        'error': 100 * (1 - correct / len(labels)),
        'accuracy': 100 * correct / len(labels),
        **top_5,
        'classes': [
            {
                'name': name,
                **{quantity: float(values[k]) for quantity, values in by_class.items()},
                'support': int(support[k]),
            }
            for k, name in enumerate(class_names)
        ],
        'averages': {
            average: {
                quantity: float(value)
                for quantity, value in _scores(labels, predicted, every, average).items()
            }
            for average in ('macro', 'weighted')
        },
        'confusion': metrics.confusion_matrix(labels, predicted, labels=every).tolist(),
    }


def _scores(labels, predicted, every, average):
    columns = metrics.precision_recall_fscore_support(
        labels, predicted, labels=every, average=average, zero_division=0
    )
    return dict(zip(('precision', 'recall', 'f1'), columns, strict=False))


def text(numbers, logits, labels, class_names):
    """The report as lines: loss and error, scikit-learn's classification_report, the matrix.

    Args: as for `measure`, and what it returned. A score that is 0/0 counts as 0.
    """
    classes = metrics.classification_report(
        labels,
        logits.argmax(axis=1),
        labels=range(len(class_names)),
        target_names=list(map(printable, class_names)),
        zero_division=0,
    )
    top_5 = f'  top-5 error {numbers["top5_error"]:.2f} %' if 'top5_error' in numbers else ''
    return (
        f'loss {numbers["loss"]:.4f}  error {numbers["error"]:.2f} %  '
        f'accuracy {numbers["accuracy"]:.2f} %{top_5}\n\n{classes.rstrip()}'
    )


def matrix_text(matrix, class_names):
    """A confusion matrix: true classes down, predicted ones, by their numbers, across."""
    width = max(len(str(cell)) for row in matrix for cell in row) + 2
    names = [f'{printable(name)} {number}' for number, name in enumerate(class_names)]
    left = max(map(len, names))
    lines = ['confusion matrix (rows: true class, columns: predicted)', '']
    lines.append(' ' * left + ''.join(f'{number:{width}}' for number in range(len(names))))
    for name, row in zip(names, matrix, strict=True):
        lines.append(f'{name:>{left}}' + ''.join(f'{cell:{width}}' for cell in row))
    return '\n'.join(lines)
