"""``train.py --folds``: one run a fold, then all of them together."""

import csv
import json
import pathlib
import re
import shutil

import numpy as np
import pytest

import chainer_onednn
from chainer_cifar import cli
from chainer_cifar.runs import RunFolder
from runs import write_data

pytestmark = pytest.mark.usefixtures('without_curves')

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
    assert summary['mean']['valid_error'] == pytest.approx(numbers['error'])
    for name in ('confusion-folds.png', 'report-folds.txt', 'suspects.csv'):
        assert (finished / 'results/cv' / name).is_file()
    with open(finished / 'results/cv/suspects.csv') as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        place = int(row['image'].split()[1])
        assert row['given'] == ['cat', 'dog', 'ship'][labels[place]]
    assert rows


def test_what_compare_and_report_tell(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    assert cli.run('compare', ['cv'], 'compare.py') == 0
    out = capsys.readouterr().out
    assert 'finished, 2 folds' in out and 'of folds the last epoch counts' in out
    assert cli.run('compare', ['cv', '--format', 'json'], 'compare.py') == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found['seeds'] == [1]
    assert found['best_epoch'] == found['epochs']
    last = [json.loads((finished / f'results/cv/fold{k}/log.json').read_text())[-1] for k in (1, 2)]
    mean = np.mean([row['test_error'] for row in last])
    assert found['test_error'] == pytest.approx(mean)
    assert cli.run('report', ['cv'], 'report.py') == 0
    page = (finished / 'results/cv/report.html').read_text()
    assert 'The result of a cross-validation is that of the last epoch' in page
    assert 'lowest validation error (without' not in page
    assert re.search(f'<dt>test error</dt><dd>{mean:.2f} ±', page)
    chainer_onednn.disable()


def test_report_puts_the_folds_together(finished, tmp_path, monkeypatch, capsys):
    shutil.copytree(finished, tmp_path / 'own')
    monkeypatch.chdir(tmp_path / 'own')
    path = pathlib.Path('results/cv/folds.npz')
    labels = np.load(path)['labels']
    # A net that is sure of all, but of the third picture has another opinion.
    logits = 9 * np.eye(3, dtype=np.float32)[labels]
    logits[2] = np.roll(logits[2], 1)
    given, rather = (['cat', 'dog', 'ship'][k] for k in (labels[2], logits[2].argmax()))

    def page(lines=0):
        assert cli.run('report', ['cv'], 'report.py') == 0
        err = capsys.readouterr().err
        assert err.count('\n') == lines
        return pathlib.Path('results/cv/report.html').read_text(), err

    np.savez(path, logits=logits, labels=labels)
    text, _ = page()
    assert (
        'Of all 40 training images, each judged by the net that never saw it; error 2.50 %' in text
    )
    assert f'train 2<br>given: {given}<br><b>rather: {rather}</b>' in text
    assert 'Of 1 of 40 images' in text and text.count('<img src="data:image/png') > 1
    for damaged, reason in (
        ({'logits': logits[:9], 'labels': labels}, 'it does not tell 3 numbers of each image'),
        ({'logits': logits, 'labels': labels + 1}, 'numbers in it are out of range'),
        ({'logits': logits, 'labels': logits}, 'its labels are no numbers of classes'),
        ({'logits': logits}, "'labels' is missing"),
    ):
        np.savez(path, **damaged)
        text, err = page(1)
        assert reason in err and 'never saw' not in text
    np.savez(path, logits=logits, labels=(labels + 1) % 3)
    text, err = page(1)
    assert 'cannot be shown: cv: the folds are of other data' in err
    assert 'error 97.50 %' in text
    path.unlink()
    assert 'All folds together' not in page()[0]
    chainer_onednn.disable()


def test_a_finished_one_resumes_to_the_same(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)
    before = (finished / 'results/cv/folds.npz').read_bytes()
    assert cli.run('train', ['--resume', '-p', 'cv'], 'train.py') == 0
    assert capsys.readouterr().out.count('finished already') == 2
    assert (finished / 'results/cv/folds.npz').read_bytes() == before
    assert [each.name for each in RunFolder('cv').of_seeds()] == ['cv/fold1', 'cv/fold2']
    chainer_onednn.disable()


def test_data_that_moved(finished, tmp_path, command, monkeypatch):
    shutil.copytree(finished, tmp_path / 'own')
    monkeypatch.chdir(tmp_path / 'own')
    pathlib.Path('dataset').rename('moved')
    data = ('-d', 'moved/image.pkl')  # beside which label.pkl lies
    before = pathlib.Path('results/cv/folds.npz').read_bytes()
    pathlib.Path('results/cv/folds.npz').unlink()
    status, _, err = command('train', '--resume', '-p', 'cv', *data)
    assert status == 0 and pathlib.Path('results/cv/folds.npz').read_bytes() == before, err


def test_the_last_epoch_counts(finished, tmp_path, command, monkeypatch):
    shutil.copytree(finished / 'dataset', tmp_path / 'dataset')
    monkeypatch.chdir(tmp_path)
    status, out, err = command('train', *FLAGS.split(), '--iter', 3)
    assert status == 0, err
    assert out.count('(epoch 3, last epoch)') == 2 and not re.search('best$', out, re.MULTILINE)
    numbers = json.loads(pathlib.Path('results/cv/report-folds.json').read_text())
    summary = json.loads(pathlib.Path('results/cv/summary.json').read_text())
    assert summary['mean']['valid_error'] == pytest.approx(numbers['error'])
    assert [row['best_epoch'] for row in summary['runs']] == [3, 3]


@pytest.mark.parametrize('kept', ['epoch-1', 'snapshot'])
def test_folds_of_an_earlier_version(finished, tmp_path, command, monkeypatch, kept):
    """Their best.npz are of the best epoch; those of the last lie beside them.

    With a --save_iter that does not divide --iter, only the snapshot has these.
    """
    shutil.copytree(finished, tmp_path / 'own')
    monkeypatch.chdir(tmp_path / 'own')
    path = pathlib.Path('results/cv/folds.npz')
    before = path.read_bytes()
    path.unlink()
    for number in (1, 2):
        fold = RunFolder(f'cv/fold{number}')
        summary = json.loads(fold.summary.read_text())
        fold.summary.write_text(json.dumps({**summary, 'chosen_by': 'lowest validation error'}))
        if kept == 'snapshot':
            fold.weights.unlink()
        else:
            fold.weights.rename(fold.epoch_weights(1))
    status, _, err = command('train', '--resume', '-p', 'cv')
    assert status == 0 and path.read_bytes() == before, err


def test_the_weights_of_a_fold_come_back(finished, tmp_path, command, monkeypatch):
    shutil.copytree(finished, tmp_path / 'own')
    monkeypatch.chdir(tmp_path / 'own')
    weights = RunFolder('cv/fold2').weights
    before = weights.read_bytes()
    weights.write_bytes(RunFolder('cv/fold1').weights.read_bytes())
    status, out, err = command('train', '--resume', '-p', 'cv/fold2')
    assert status == 0 and 'finished already' in out, err
    assert weights.read_bytes() == before


def test_more_folds_than_images(finished, tmp_path, command, refused, monkeypatch):
    shutil.copytree(finished / 'dataset', tmp_path / 'dataset')
    monkeypatch.chdir(tmp_path)
    message = refused('train', *FLAGS.split(), '--folds', 41, '--dry_run')
    assert '--folds 41: there are only 40 training images; give no more folds' in message
    # At once, not for the last fold.
    status, _, err = command('train', *FLAGS.split(), '--folds', 41)
    assert status == 2 and 'fold 1: --folds 41: there are only 40' in err
    assert [path.name for path in tmp_path.iterdir()] == ['dataset']


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
