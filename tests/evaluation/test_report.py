import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from chainer_cifar.evaluation import report
from chainer_cifar.table import cells

NAMES = ['cat', 'dog', 'accuracy']  # the last is a row of scikit-learn's report, too


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_counts(pairs):
    labels, predicted = np.array(pairs).T
    logits = np.eye(3, dtype=np.float32)[predicted]
    numbers = report.measure(logits, labels, NAMES)
    json.dumps(numbers)
    for k, row in enumerate(numbers['classes']):
        right = sum(p == t == k for t, p in pairs)
        true, said = sum(labels == k), sum(predicted == k)
        assert row['name'] == NAMES[k] and row['support'] == true
        assert row['precision'] == pytest.approx(right / said if said else 0)
        assert row['recall'] == pytest.approx(right / true if true else 0)
        assert row['f1'] == pytest.approx(2 * right / (true + said) if true + said else 0)
        assert numbers['confusion'][k] == [pairs.count((k, other)) for other in range(3)]
    for quantity in ('precision', 'recall', 'f1'):
        values = [row[quantity] for row in numbers['classes']]
        weights = [row['support'] for row in numbers['classes']]
        assert numbers['averages']['macro'][quantity] == pytest.approx(np.mean(values))
        average = np.average(values, weights=weights)
        assert numbers['averages']['weighted'][quantity] == pytest.approx(average)
    wrong = sum(t != p for t, p in pairs)
    assert numbers['error'] == pytest.approx(100 * wrong / len(pairs))
    assert numbers['accuracy'] == pytest.approx(100 - numbers['error'])
    assert numbers['loss'] == pytest.approx(np.log(np.e + 2) - 1 + wrong / len(pairs))


def test_text_holds_scikit_learns_report():
    rng = np.random.RandomState(0)
    logits, labels = rng.randn(50, 3).astype(np.float32), rng.randint(3, size=50)
    text = report.text(report.measure(logits, labels, NAMES), logits, labels, NAMES)
    expected = metrics.classification_report(labels, logits.argmax(axis=1), target_names=NAMES)
    assert text.endswith(expected.rstrip())
    assert text.startswith('loss ')


def test_text_of_wide_names():
    names = ['東京 x', 'cafe\u0301', 'a class of fifteen']
    logits = np.eye(3, dtype=np.float32)
    text = report.text(report.measure(logits, np.arange(3), names), logits, np.arange(3), names)
    _, _, heading, _, *rows = text.splitlines()
    for row, name in zip(rows, names, strict=False):
        assert row.lstrip().startswith(f'{name}       1.00')
        assert cells(row) == cells(heading)


def test_matrix_text():
    text = report.matrix_text([[10, 2], [0, 7]], ['cat', 'automobile'])
    assert text.splitlines()[2:] == [
        '               0   1',
        '       cat 0  10   2',
        'automobile 1   0   7',
    ]


def test_matrix_text_of_wide_names_and_many_classes():
    names = ['東京', 'cafe\u0301', *('x' * 99)]
    lines = report.matrix_text(np.eye(101, dtype=int).tolist(), names).splitlines()[2:]
    assert lines[0].endswith('   98   99  100')
    assert lines[1].startswith('東京 0    1    0')
    assert lines[2].startswith('cafe\u0301 1    0    1')


def test_top_5_error_of_ten_classes():
    rng = np.random.RandomState(0)
    logits, labels = rng.randn(50, 10).astype(np.float32), rng.randint(10, size=50)
    names = list('abcdefghij')
    numbers = report.measure(logits, labels, names)
    expected = 100 * (1 - metrics.top_k_accuracy_score(labels, logits, k=5, labels=range(10)))
    assert numbers['top5_error'] == pytest.approx(expected)
    first = report.text(numbers, logits, labels, names).splitlines()[0]
    assert first.endswith(f'  top-5 error {expected:.2f} %')
    assert 'top5_error' not in report.measure(logits[:, :3], labels % 3, NAMES)
