import csv
import io
import json
import pathlib

import numpy as np
import pytest

from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import predictions

NAMES = ['cat', 'dog', '1']
LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]]))


def rows(top=2, labels=(0, 2)):
    return predictions.rows(['a.png', 'b, c.png'], LOGITS, NAMES, top, labels)


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


def labels_of(folder, text):
    path = folder / 'labels.csv'
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return predictions.read_labels(path, NAMES)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('name,label\na.png,dog\n', {'a.png': 1}),
        ('\ufeffname,label\r\na.png,dog\r\n', {'a.png': 1}),
        ('a.png, dog\n\nb.png,0', {'a.png': 1, 'b.png': 0}),
        ('a.png,1', {'a.png': 2}),  # a name goes before a number
        ('"a, b.png",cat', {'a, b.png': 0}),
        ('./x//a.png,dog', {'x/a.png': 1}),  # as pathlib writes the path that was typed
        ('', {}),
    ],
)
def test_labels(tmp_path, text, expected):
    assert labels_of(tmp_path, text) == expected


@pytest.mark.parametrize(
    ('text', 'word'),
    [
        ('a.png,dog\nb.png,dgo', "line 2: no class is called 'dgo'"),
        ('a.png', 'line 1'),
        ('a.png,dog,cat', 'line 1'),
        (b'\xff\xfe,dog', 'UTF-8'),
        ('"' + 200000 * 'a', 'line 1'),
    ],
)
def test_bad_labels(tmp_path, text, word):
    with pytest.raises(UserError, match=word):
        labels_of(tmp_path, text)


def test_label_of():
    labels = {'x/a.png': 1, 'a.png': 2}
    assert predictions.label_of(pathlib.Path('x/a.png'), labels) == 1
    assert predictions.label_of(pathlib.Path('y/a.png'), labels) == 2
    assert predictions.label_of(pathlib.Path('b.png'), labels) is None


def test_printable():
    assert predictions.printable(pathlib.Path('a\udcff\n.png')) == 'a\ufffd\ufffd.png'
    assert predictions.printable('ä.png') == 'ä.png'
