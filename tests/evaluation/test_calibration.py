"""Calibration error, the temperature and its file."""

import json

import numpy as np
import pytest

from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import calibration, report, trained


def drawn(temperature, count=20_000, classes=5):
    """Logits that are right when divided by the temperature, and labels."""
    rng = np.random.default_rng(0)
    right = rng.normal(0, 2, (count, classes))
    chances = np.exp(right) / np.exp(right).sum(axis=1, keepdims=True)
    labels = (chances.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1).clip(0, classes - 1)
    return (temperature * right).astype(np.float32), labels


@pytest.mark.parametrize('temperature', [0.5, 1.0, 3.0])
def test_the_temperature_is_found(temperature):
    logits, labels = drawn(temperature)
    found = calibration.fit(logits, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    after = calibration.measure(logits, labels, found)
    assert after['ece'] < 1.5
    if temperature != 1:
        before = calibration.measure(logits, labels)
        assert before['ece'] > 4 and before['loss'] > after['loss']


@pytest.mark.parametrize('scale', [0.1, 1.0, 30.0])
def test_without_mistakes_there_is_none(scale):
    logits, _ = drawn(scale, count=500)
    with pytest.raises(UserError, match='right on all 500 of these images'):
        calibration.fit(logits, logits.argmax(axis=1))


@pytest.mark.parametrize('sign', [-1, 1])
def test_none_at_a_limit(sign):
    """Always wrong, or only once, and never sure."""
    logits = sign * np.tile(np.float32([0.05, 0]), (500, 1))
    logits[0] *= -1
    labels = np.zeros(500, int)
    with pytest.raises(UserError, match=r'on these 500 images no temperature from 0\.05 to 20'):
        calibration.fit(logits, labels)


def test_by_hand():
    # Probabilities of 0.9, 0.9 and 0.6; the first and the last are right.
    chances = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    found = calibration.measure(np.log(chances), np.array([0, 1, 1]))
    gaps = 2 / 3 * abs(0.9 - 0.5) + 1 / 3 * abs(0.6 - 1)
    assert found['ece'] == pytest.approx(100 * gaps)
    assert [each['images'] for each in found['bins'] if each['images']] == [1, 2]
    assert found['loss'] == pytest.approx(-np.log([0.9, 0.1, 0.6]).mean())


def test_the_file(saved):
    saved()
    weights = trained.find('models/run')
    assert trained.load('models/run').temperature == 1
    path = calibration.write(weights, 1.5)
    assert path.name == 'best.temperature.json'
    assert trained.load('models/run').temperature == 1.5


def test_a_file_of_other_weights(saved, capsys):
    saved()
    weights = trained.find('models/run')
    path = calibration.write(weights, 1.5)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, 'weights_crc32': '00000000'}))
    assert trained.load('models/run').temperature == 1
    assert f'warning: {path}: belongs to other weights' in capsys.readouterr().err


@pytest.mark.parametrize(
    'text',
    [
        *('', '[]', '{}', '[' * 99_999),
        '{"format": 1, "temperature": 0, "weights_crc32": ""}',
        '{"format": 9, "temperature": 1, "weights_crc32": ""}',
        '{"format": "x", "temperature": 1, "weights_crc32": ""}',
        '{"format": 1, "temperature": NaN, "weights_crc32": ""}',
    ],
)
def test_a_damaged_file(saved, text):
    saved()
    path = calibration.path_of(trained.find('models/run'))
    path.write_text(text)
    with pytest.raises(UserError, match=r'best\.temperature\.json: cannot be read'):
        trained.load('models/run')


def test_two_classes():
    logits = np.array([[0, -2], [0, 1], [0, 3], [0, -1]], np.float32)
    labels = np.array([0, 0, 1, 1])
    numbers = report.measure(logits, labels, ['no', 'yes'])
    assert numbers['roc_auc'] == 0.75
    assert numbers['average_precision'] == pytest.approx((1 + 2 / 3) / 2)
    text = report.text(numbers, logits, labels, ['no', 'yes'])
    assert 'ROC-AUC 0.7500  average precision 0.8333 (yes)' in text
    assert 'roc_auc' not in report.measure(logits, np.zeros(4, int), ['no', 'yes'])
    three = np.pad(logits, ((0, 0), (0, 1)))
    assert 'roc_auc' not in report.measure(three, labels, ['no', 'yes', 'maybe'])
