"""evaluate --calibrate and predict --reject as a user runs them."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from chainer_cifar.evaluation import image_sets, trained


def test_calibrate(own_run, command, tmp_path):
    _, before, _ = command('evaluate', 'run', '--out', tmp_path)
    plain = json.loads((tmp_path / 'report-test.json').read_text())
    assert plain['temperature'] == 1 and list(plain['calibration']) == ['plain']
    status, out, err = command('evaluate', 'run', '--calibrate', '--out', tmp_path)
    assert status == 0 and err.count('\n') == 1
    assert err.startswith('warning: --calibrate: 4 validation images tell little')
    assert '4 validation images, in models/run/best.temperature.json' in out
    temperature = trained.load('models/run').temperature
    assert temperature != 1
    scaled = json.loads((tmp_path / 'report-test.json').read_text())
    assert scaled['temperature'] == temperature
    assert scaled['calibration']['plain'] == plain['calibration']['plain']
    assert scaled['calibration']['scaled'] != scaled['calibration']['plain']
    for name in ('loss', 'error', 'confusion'):  # these are the net's own
        assert scaled[name] == plain[name]
    with Image.open(tmp_path / 'reliability-test.png') as picture:
        assert picture.width > 800  # both, side by side
    assert f'with temperature {temperature:.3f}' in out and 'temperature' not in before
    _, sure, _ = command('predict', 'run', '--first', 1, '--format', 'json')
    (own_run / 'models/run/best.temperature.json').unlink()
    _, unsure, _ = command('predict', 'run', '--first', 1, '--format', 'json')
    one, other = (json.loads(text)[0]['top'][0] for text in (sure, unsure))
    assert one['class'] == other['class'] and one['probability'] != other['probability']


def test_weights_that_are_replaced_meanwhile_get_none(own_run, refused, monkeypatch):
    """A training that goes on writes better ones."""
    weights, logits = own_run / 'models/run/best.npz', image_sets.logits

    def replaced(*arguments):
        found = logits(*arguments)
        better = weights.with_name('better.npz')
        better.write_bytes(weights.read_bytes())
        better.replace(weights)
        return found

    monkeypatch.setattr(image_sets, 'logits', replaced)
    error = refused('evaluate', 'run', '--calibrate')
    assert '--calibrate: models/run/best.npz: was replaced while' in error
    assert not (own_run / 'models/run/best.temperature.json').exists()


def test_overwrite_deletes_it(own_run, command):
    assert command('evaluate', 'run', '--calibrate')[0] == 0
    path = own_run / 'models/run/best.temperature.json'
    assert path.exists() and (own_run / 'results/run/reliability-test.png').exists()
    from chainer_cifar.runs import RunFolder

    RunFolder('run').delete()
    assert not path.exists() and not (own_run / 'results/run/reliability-test.png').exists()


def test_reject(in_run, command, tmp_path):
    arguments = ('predict', 'run', '--first', 40)
    _, out, _ = command(*arguments, '--format', 'json')
    plain = json.loads(out)
    chances = sorted(row['top'][0]['probability'] for row in plain)
    limit = (chances[19] + chances[20]) / 2
    _, out, _ = command(*arguments, '--format', 'json', '--reject', limit)
    rows = json.loads(out)
    for before, row in zip(plain, rows, strict=True):
        known = before['top'][0]['probability'] >= limit
        assert row['answer'] == (before['top'][0]['class'] if known else 'unknown')
        assert row.get('right') == (before['right'] if known else None)
        assert row['top'] == before['top'] and row['label'] == before['label']
    right = sum(row.get('right', False) for row in rows)
    sheet = tmp_path / 'sheet.png'
    _, out, _ = command(*arguments, '--reject', limit, '--gallery', sheet)
    assert f'{right} of 20 right, 20 unknown' in out and sheet.exists()
    _, out, _ = command(*arguments, '--reject', limit, '--format', 'csv')
    table = list(csv.DictReader(io.StringIO(out)))
    assert [row['answer'] for row in table] == [row['answer'] for row in rows]


@pytest.mark.parametrize('value', ['-0.1', '1.1', 'nan'])
def test_mistakes(in_run, refused, value):
    assert '--reject' in refused('predict', 'run', '--first', 1, f'--reject={value}')


def test_nothing_to_calibrate_on(own_run, refused):
    path = own_run / 'models/run/config.json'
    description = json.loads(path.read_text())
    description['flags']['no_valid_data'] = True
    path.write_text(json.dumps(description))
    line = refused('evaluate', 'run', '--calibrate')
    assert '--calibrate: --set valid: this run set no images aside' in line


def test_validation_without_mistakes(own_run, refused, monkeypatch):
    def right(model, images, index):
        return 3 * np.eye(10, dtype=np.float32)[images.labels[index]]

    monkeypatch.setattr(image_sets, 'logits', right)
    line = refused('evaluate', 'run', '--calibrate')
    assert 'error: --calibrate: the net is right on all 4 of these images' in line
    assert not list(own_run.glob('models/run/*temperature*'))
