import csv
import io
import json

import numpy as np
import pytest

from chainer_cifar.evaluation import predictions

NAMES = ['cat', 'dog', '1']
LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]]))


def rows(top=2, labels=(0, 2)):
    return predictions.rows(['a.png', 'b, c.png'], LOGITS, NAMES, top, labels)


def test_a_class_may_be_called_unknown():
    names = ['cat', 'dog', 'unknown']
    logits = np.log(np.array([[0.1, 0.1, 0.8], [0.4, 0.3, 0.3]]))
    found = predictions.rows(['a.png', 'b.png'], logits, names, 1, [2, 0], reject=0.6)
    assert [row['answer'] for row in found] == ['unknown'] * 2
    assert [row['rejected'] for row in found] == [False, True]
    assert [row.get('right') for row in found] == [True, None]
    assert predictions.score(found) == '1 of 1 right, 1 unknown'


def test_rows():
    first, second = rows()
    assert [best['class'] for best in first['top']] == ['cat', 'dog']
    assert [best['probability'] for best in first['top']] == pytest.approx([0.7, 0.2])
    assert first['label'] == 'cat' and first['right'] is True
    # The lower class number goes first among equals.
    assert [best['class'] for best in second['top']] == ['dog', 'cat']
    assert second['label'] == '1' and second['right'] is False
    assert predictions.score(rows()) == '1 of 2 right'
    assert predictions.score(rows(labels=[None, 2])) == '0 of 1 right'
    assert predictions.score(rows(labels=None)) is None
    assert len(rows(top=9)[0]['top']) == 3


def test_table():
    assert predictions.table(rows()) == (
        'a.png     cat   70.0 %  dog   20.0 %  right\n'
        'b, c.png  dog   50.0 %  cat   25.0 %  wrong: 1\n'
        '1 of 2 right'
    )
    assert predictions.table(rows(1, None)) == 'a.png     cat   70.0 %\nb, c.png  dog   50.0 %'


def test_json_and_csv():
    assert json.loads(predictions.as_json(rows())) == rows()
    first, second = csv.DictReader(io.StringIO(predictions.as_csv(rows())))
    assert first['image'] == 'a.png' and first['label'] == 'cat'
    assert second['image'] == 'b, c.png' and float(second['probability_1']) == pytest.approx(0.5)
    assert second['class_2'] == 'cat'


def test_a_caption_keeps_number_and_probability_apart():
    assert predictions.guess('5', 0.768) == '5 (77 %)'
