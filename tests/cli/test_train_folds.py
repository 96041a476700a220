"""``train.py --folds``: one run a fold, then all of them together."""

import csv
import json

import numpy as np
import pytest

import chainer_onednn
from chainer_cifar import cli
from chainer_cifar.runs import RunFolder
from runs import write_data

FLAGS = '-m simple_gap -b 10 --iter 1 --optimizer adam --augment none --folds 2 -p cv'


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp('folds')
    write_data(folder / 'dataset')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.run('train', FLAGS.split(), 'train.py') == 0
    chainer_onednn.disable()
    return folder


def test_each_image_validates_once(finished, monkeypatch):
    monkeypatch.chdir(finished)
    with np.load(finished / 'results/cv/folds.npz') as found:
        assert found['logits'].shape == (40, 3) and np.isfinite(found['logits']).all()
        predicted = found['logits'].argmax(axis=1)
        labels = found['labels']
    numbers = json.loads((finished / 'results/cv/report-folds.json').read_text())
    assert np.sum(numbers['confusion']) == 40
    assert numbers['error'] == pytest.approx(100 * np.mean(predicted != labels))
    summary = json.loads((finished / 'results/cv/summary.json').read_text())
    assert [row['fold'] for row in summary['runs']] == [1, 2]
    # The mean of folds of equal size is the error of all.
    assert summary['mean']['last_valid_error'] == pytest.approx(numbers['error'])
    for name in ('confusion-folds.png', 'report-folds.txt', 'suspects.csv'):
        assert (finished / 'results/cv' / name).is_file()
    with open(finished / 'results/cv/suspects.csv') as file:
        for row in csv.DictReader(file):
            place = int(row['image'].split()[1])
            assert row['given'] == ['cat', 'dog', 'ship'][labels[place]]


def test_what_compare_and_report_tell(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    assert cli.run('compare', ['cv'], 'compare.py') == 0
    assert 'finished, 2 folds' in capsys.readouterr().out
    assert cli.run('report', ['cv'], 'report.py') == 0
    chainer_onednn.disable()


def test_a_finished_one_resumes_to_the_same(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    before = (finished / 'results/cv/folds.npz').read_bytes()
    assert cli.run('train', ['--resume', '-p', 'cv'], 'train.py') == 0
    assert capsys.readouterr().out.count('finished already') == 2
    assert (finished / 'results/cv/folds.npz').read_bytes() == before
    assert [each.name for each in RunFolder('cv').of_seeds()] == ['cv/fold1', 'cv/fold2']
    chainer_onednn.disable()


@pytest.mark.parametrize(
    ('flags', 'reason'),
    [
        ('--folds 1', '--folds 1: must be 2 or more'),
        ('--folds 2 --fold 3', '--fold 3: there are 2'),
        ('--folds 2 --seeds 2', '--seeds: has no meaning beside --folds'),
        ('--folds 2 --no_valid_data', 'not with --no_valid_data'),
        ('--folds 2 --patience 3', 'not with --patience'),
    ],
)
def test_what_makes_no_sense(flags, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.run('train', flags.split(), 'train.py') == 2
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
