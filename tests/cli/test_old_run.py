"""A run that version 0.1.0 began and Ctrl-C stopped in its second epoch is finished and evaluated.

tests/old_run holds what that version left, git revision 0c3ad3d: 26 of scikit-learn's digits,
``train.py -m simple_gap --normalize unit -b 6 --iter 2 --lr 0.05 --cpu_engine chainer``.
"""

import json
import pathlib
import shutil

import pytest

OLD_RUN = pathlib.Path(__file__).parents[1] / 'old_run'

# Of the second epoch, as that version would have finished it.
SECOND = {
    'epoch': 2,
    'iteration': 6,
    'lr': 0.05,
    'train_loss': 2.315190315246582,
    'train_error': 100.0,
    'valid_loss': 2.393115997314453,
    'valid_error': 100.0,
    'test_loss': 2.314347505569458,
    'test_error': 100.0,
}


def test_an_old_run_is_resumed_and_evaluated(tmp_path, monkeypatch, command):
    monkeypatch.chdir(shutil.copytree(OLD_RUN, tmp_path / 'old'))
    log = pathlib.Path('results/run/log.json')
    first = json.loads(log.read_text())
    status, out, err = command('train', '--resume', '-p', 'run')
    assert status == 0, err
    assert 'resuming after iteration 4\n' in out and 'weights  models/run/best.npz' in out
    assert json.loads(log.read_text()) == [*first, pytest.approx(SECOND, rel=1e-5)]
    status, out, err = command('evaluate', 'run')
    assert status == 0, err
    measured = json.loads(pathlib.Path('results/run/report-test.json').read_text())
    assert measured['data_of_the_run'] and measured['error'] == first[0]['test_error']
    assert measured['loss'] == pytest.approx(first[0]['test_loss'])
