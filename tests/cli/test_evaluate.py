"""src/evaluate.py as a user runs it."""

import json
import pickle
import shutil

import chainer
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from chainer_cifar.data import input_transform, store
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.data.preprocess import Mean
from chainer_cifar.evaluation import trained


def report(folder, name):
    return json.loads((folder / f'{name}.json').read_text())


def logits_by_hand(folder, images):
    model = trained.load(folder / 'models/run', {'cpu_engine': 'chainer'})
    x = np.asarray(images, np.float32).reshape(-1, 3, 32, 32) / 255
    with chainer.using_config('train', False):
        return model.net(x).array


def test_the_numbers_are_those_of_training(in_run, tmp_path, command):
    summary = json.loads((in_run / 'results/run/summary.json').read_text())
    for part in ('test', 'valid'):
        status, _, err = command('evaluate', 'models/run', '--set', part, '--out', tmp_path)
        assert status == 0 and err == ''
        numbers = report(tmp_path, f'report-{part}')
        assert numbers['error'] == pytest.approx(summary['best'][f'{part}_error'])
        assert numbers['loss'] == pytest.approx(summary['best'][f'{part}_loss'], rel=1e-5)
        assert numbers['accuracy'] == pytest.approx(100 - numbers['error'])
        assert numbers['images'] == {'test': 40, 'valid': 4}[part]
        assert numbers['data_of_the_run'] and numbers['tta'] == 'none'


def test_the_text_is_scikit_learns(in_run, tmp_path, command):
    _, out, _ = command('evaluate', 'models/run', '--out', tmp_path, '-b', 7)
    with open('dataset/image_raw.pkl', 'rb') as images, open('dataset/label.pkl', 'rb') as labels:
        images, labels = pickle.load(images)['test'], pickle.load(labels)['test']
    predicted = logits_by_hand(in_run, images).argmax(axis=1)
    names = json.loads((in_run / 'dataset/classes.json').read_text())
    expected = metrics.classification_report(
        labels, predicted, labels=range(10), target_names=names, zero_division=0
    )
    text = (tmp_path / 'report-test.txt').read_text()
    assert expected.rstrip() in text and expected.rstrip() in out
    matrix = metrics.confusion_matrix(labels, predicted, labels=range(10))
    assert report(tmp_path, 'report-test')['confusion'] == matrix.tolist()
    for name, row in zip(names, matrix, strict=True):
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f'{name} ')][1:]
        assert line.split()[2:] == [str(count) for count in row]
    with Image.open(tmp_path / 'confusion-test.png') as picture:
        assert picture.format == 'PNG'


def test_names_tell_what_was_measured(own_run, command):
    """Reports of other sets, views and weights do not replace each other."""
    command('evaluate', 'models/run', '--tta', 'mirror')
    summary = json.loads((own_run / 'results/run/summary.json').read_text())
    mirrored = report(own_run / 'results/run', 'report-test-mirror')
    assert mirrored['tta'] == 'mirror' and mirrored['loss'] != summary['best']['test_loss']
    assert mirrored['loss'] == pytest.approx(summary['best']['test_loss'], rel=0.5)
    _, out, _ = command('evaluate', 'models/run/epoch-0001.npz', '--set', 'train')
    for name in ('report-test-mirror.json', 'confusion-test-mirror.png'):
        assert (own_run / 'results/run' / name).exists()
    for name in ('report-train-epoch-0001', 'confusion-train-epoch-0001'):
        assert f'results/run/{name}' in out
    numbers = report(own_run / 'results/run', 'report-train-epoch-0001')
    assert numbers['images'] == 36 and numbers['weights'] == 'models/run/epoch-0001.npz'


def test_a_renamed_run(own_run, command):
    (own_run / 'models/run').rename(own_run / 'models/better')
    assert command('evaluate', 'models/better')[0] == 0
    assert (own_run / 'results/better/report-test.json').exists()


def test_runs_by_name(own_run, command):
    expected = command('evaluate', 'models/run')
    assert expected[0] == 0
    for name in ('run', 'results/run'):
        status, out, err = command('evaluate', name)
        # But for the time it took.
        assert (status, out.splitlines()[1:], err) == (0, expected[1].splitlines()[1:], '')
        numbers = report(own_run / 'results/run', 'report-test')
        assert numbers['weights'] == 'models/run/best.npz'


def test_moved_data(own_run, command):
    shutil.move('dataset', 'elsewhere')
    flags = ['-d', 'elsewhere/image_raw.pkl']  # beside which label.pkl lies
    assert command('evaluate', 'models/run', *flags, '--set', 'valid')[0] == 0


def change(path, part, index, value):
    with open(path, 'rb') as file:
        content = pickle.load(file)
    content[part] = content[part].copy()
    content[part][index] = value
    path.write_bytes(pickle.dumps(content))


def test_other_data(own_run, command, refused):
    change(own_run / 'dataset/image_raw.pkl', 'test', 0, 0)
    status, out, _ = command('evaluate', 'models/run')
    assert status == 0 and 'not the data it was trained on' in out
    assert not report(own_run / 'results/run', 'report-test')['data_of_the_run']
    line = refused('evaluate', 'models/run', '--set', 'valid')
    assert 'dataset/image_raw.pkl' in line and 'checksum' in line


def test_other_classes(own_run, refused):
    names = json.loads((own_run / 'dataset/classes.json').read_text())
    names[3] = 'kitten'
    (own_run / 'dataset/classes.json').write_text(json.dumps(names))
    line = refused('evaluate', 'models/run')
    assert "class 3 is 'kitten' there and 'cat' in the run" in line
    (own_run / 'dataset/classes.json').write_text(json.dumps([*names[:3], 'cat', *names[4:], 'x']))
    assert 'there are 11 there and 10 in the run' in refused('evaluate', 'models/run')


def test_other_preprocessing(own_run, refused):
    with open('dataset/image_raw.pkl', 'rb') as file:
        content = pickle.load(file)
    floats = {part: images.astype(np.float32) for part, images in content.items()}
    (own_run / 'dataset/image.pkl').write_bytes(pickle.dumps(floats))
    line = refused('evaluate', 'models/run', '-d', 'dataset/image.pkl')
    assert 'dataset/image.pkl' in line and "'raw'" in line


def test_the_same_preprocessing_of_other_pictures(own_run, refused):
    transform = input_transform.InputTransform(Mean(np.float32(1)), Normalization(0, 1))
    transform.write('models/run/input.npz')
    store.write_statistics('dataset/image_stats.npz', Mean(np.float32(2)))
    images = np.zeros((40, 3072), np.float32)
    store.write_split('dataset/image.pkl', images, images)
    assert "by 'mean'" in refused('evaluate', 'models/run', '-d', 'dataset/image.pkl')


def test_no_valid_data(own_run, refused):
    path = own_run / 'models/run/config.json'
    description = json.loads(path.read_text())
    description['flags']['no_valid_data'] = True
    path.write_text(json.dumps(description))
    assert '--no_valid_data' in refused('evaluate', 'models/run', '--set', 'valid')


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        (['models/none'], 'models/none: no such file; give the weights of a run, such as'),
        (['models/run', '--set', 'tets'], "did you mean 'test'?"),
        (
            ['models/run', '--out', 'models/run/config.json'],
            '--out models/run/config.json: is a file',
        ),
        (['models/run', '--tta', 'miror'], "did you mean 'mirror'?"),
        (['models/run', '-b', '0'], '--batch_size 0'),
        (['models/run', '-b', 'x'], '-b'),
        (['models/run', '--cpu_engine', 'onednm'], "did you mean 'onednn'?"),
        (['models/run', '-d', 'none.pkl'], 'none.pkl: no such file'),
        (['models/run', '-l', 'none.pkl'], 'or give its path with -l'),
        (['models/run', 'models/run'], "'models/run'"),
        ([], 'WEIGHTS'),
    ],
)
def test_mistakes(in_run, refused, arguments, word):
    assert word in refused('evaluate', *arguments)


def test_a_matrix_of_many_classes_is_not_printed(in_run, tmp_path, command, monkeypatch):
    monkeypatch.setattr('chainer_cifar.evaluation.report.SCREEN_CLASSES', 9)
    _, out, _ = command('evaluate', 'models/run', '--out', tmp_path)
    assert 'confusion matrix' not in out and 'report-test.txt' in out
    assert 'confusion matrix' in (tmp_path / 'report-test.txt').read_text()


def test_ctrl_c(in_run, tmp_path, command, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr('chainer_cifar.evaluation.inference.logits', interrupt)
    status, out, err = command('evaluate', 'models/run', '--out', tmp_path)
    assert (status, out, err) == (130, '', 'evaluate.py: interrupted\n')
    assert list(tmp_path.iterdir()) == []
