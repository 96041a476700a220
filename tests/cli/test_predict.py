"""src/predict.py as a user runs it."""

import csv
import io
import json
import re
import shutil

import chainer
import numpy as np
import pytest
from PIL import Image

from chainer_cifar.data import store
from chainer_cifar.evaluation import trained


@pytest.fixture(scope='session')
def test_images(finished_run):
    """uint8 (40, 3, 32, 32), int32 (40,)"""
    images = store.read_images(finished_run / 'dataset/image_raw.pkl')['test']
    labels = store.read_labels(finished_run / 'dataset/label.pkl')['test']
    return images.reshape(-1, 3, 32, 32), labels


@pytest.fixture(scope='session')
def folder(test_images, tmp_path_factory):
    """The first four of them as 0.png to 3.png, and what is no picture."""
    folder = tmp_path_factory.mktemp('pictures')
    for number, image in enumerate(test_images[0][:4]):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f'{number}.png')
    (folder / 'notes.txt').write_text('not a picture')
    return folder


@pytest.fixture(scope='session')
def names(finished_run):
    return json.loads((finished_run / 'dataset/classes.json').read_text())


def probabilities(folder, images):
    model = trained.load(folder / 'models/run', {'cpu_engine': 'chainer'})
    x = (images / 255).astype(np.float32)
    with chainer.using_config('train', False):
        return chainer.functions.softmax(model.net(x)).array


def test_json(in_run, command, folder, test_images, names):
    status, out, err = command('predict', 'models/run', folder, '--format', 'json', '--top', 4)
    assert status == 0 and err == ''
    expected = probabilities(in_run, test_images[0][:4])
    rows = json.loads(out)
    assert [row['image'] for row in rows] == [str(folder / f'{i}.png') for i in range(4)]
    for row, p in zip(rows, expected, strict=True):
        order = np.argsort(-p)[:4]
        assert [best['class'] for best in row['top']] == [names[k] for k in order]
        np.testing.assert_allclose([b['probability'] for b in row['top']], p[order], rtol=1e-4)
        assert row.keys() == {'image', 'top'}


def test_first_images_of_the_test_set(in_run, command, test_images, names):
    status, out, err = command('predict', 'models/run', '--first', 40, '--format', 'json')
    assert status == 0 and err == ''
    rows = json.loads(out)
    right = probabilities(in_run, test_images[0]).argmax(axis=1) == test_images[1]
    assert [row['right'] for row in rows] == right.tolist()
    assert [row['label'] for row in rows] == [names[k] for k in test_images[1]]
    assert 0 < right.sum() < 40  # or the test tells nothing
    _, out, _ = command('predict', 'models/run', '--first', 40)
    lines = out.splitlines()
    assert lines[-1] == f'{right.sum()} of 40 right' and len(lines) == 41
    assert [bool(re.search(r'  right$', line)) for line in lines[:-1]] == right.tolist()


def test_csv(in_run, command, folder):
    _, out, _ = command('predict', 'models/run', folder, '--format', 'csv', '--top', 2)
    rows = list(csv.DictReader(io.StringIO(out)))
    columns = ['image', 'label', 'class_1', 'probability_1', 'class_2', 'probability_2']
    assert list(rows[0]) == columns and len(rows) == 4
    assert float(rows[0]['probability_1']) >= float(rows[0]['probability_2'])


def test_labels(in_run, command, folder, tmp_path, test_images, names):
    truth = test_images[1]
    lines = ['name,label', f'0.png,{names[truth[0]]}', f'1.png,{truth[1]}']
    lines.append(f'{folder}/3.png,{names[(truth[3] + 1) % 10]}')
    (tmp_path / 'labels.csv').write_text('\n'.join(lines))
    _, out, _ = command(
        'predict', 'models/run', folder, '--labels', tmp_path / 'labels.csv', '--format', 'json'
    )
    rows = json.loads(out)
    for number in (0, 1):
        assert rows[number]['label'] == names[truth[number]]
    assert 'label' not in rows[2] and rows[3]['label'] != names[truth[3]]


def test_labels_of_other_pictures(in_run, command, refused, folder, tmp_path):
    labels = tmp_path / 'labels.csv'
    arguments = ['predict', 'models/run', folder, '--labels', labels]
    labels.write_text('0.png,1\nnone.png,2\nnot.png,3\n')
    status, out, err = command(*arguments)
    assert status == 0 and out.splitlines()[-1].endswith('of 1 right')
    assert err == (
        f'warning: --labels {labels}: 2 of 3 names belong to none of these pictures, '
        f"such as 'none.png'\n"
    )
    labels.write_text('none.png,2\n')
    assert "names none of these pictures, the first name is 'none.png'" in refused(*arguments)
    labels.write_text('name,label\n')
    assert refused(*arguments).endswith('names none of these pictures\n')
    labels.write_text('0.png,2\n0.png,3\n')
    assert f'lines 1 and 2 give different labels to {folder}/0.png' in refused(*arguments)


def test_folders_below(in_run, command, refused, folder, tmp_path, names):
    for name in ('x', 'y'):
        shutil.copytree(folder, tmp_path / 'pictures' / name)
    arguments = ['predict', 'models/run', tmp_path / 'pictures', '--format', 'json']
    status, out, _ = command(*arguments)
    rows = json.loads(out)
    paths = [f'{tmp_path}/pictures/{name}/{number}.png' for name in 'xy' for number in range(4)]
    assert status == 0 and [row['image'] for row in rows] == paths
    labels = tmp_path / 'labels.csv'
    labels.write_text(f'x/0.png,3\npictures/y/0.png,4\n{paths[1]},5\n')
    rows = json.loads(command(*arguments, '--labels', labels)[1])
    known = {row['image']: row['label'] for row in rows if 'label' in row}
    assert known == {paths[0]: names[3], paths[4]: names[4], paths[1]: names[5]}
    labels.write_text('0.png,3\n')
    line = refused(*arguments, '--labels', labels)
    assert f"line 1: '0.png' may be {paths[0]} or {paths[4]}" in line


def test_gallery(in_run, command, tmp_path, test_images):
    path = tmp_path / 'new' / 'gallery.png'
    status, out, _ = command('predict', 'models/run', '--first', 40, '--gallery', path)
    assert status == 0 and out.splitlines()[-1] == f'gallery  {path}'
    right = probabilities(in_run, test_images[0]).argmax(axis=1) == test_images[1]
    sheet = np.asarray(Image.open(path).convert('RGB'))
    for number in range(40):
        top, left = 34 + 194 * (number // 10), 16 + 152 * (number % 10)
        red, green, _ = sheet[top, left].tolist()
        assert (green > red) == right[number]
        found = sheet[top + 4 : top + 132 : 4, left + 4 : left + 132 : 4]
        np.testing.assert_array_equal(found.transpose(2, 0, 1), test_images[0][number])


def test_captions(in_run, command, folder, tmp_path, test_images, monkeypatch):
    shutil.copytree(folder, tmp_path / 'pictures' / 'below')
    drawn = []
    monkeypatch.setattr('chainer_cifar.figures.gallery', lambda *given: drawn.append(given))
    files = [tmp_path / 'pictures', folder / '0.png', folder / '1.png']
    command('predict', 'models/run', *files, '--gallery', 'a.png')
    shorts = [*(f'below/{number}.png' for number in range(4)), '0.png', '1.png']
    _, captions, _, title, right = drawn.pop()
    assert title == '6 pictures' and right == [None] * 6
    assert [name for name, _ in captions] == shorts
    assert all(re.fullmatch(r'[a-z]+ \(\d+ %\)', best) for _, best in captions)
    predicted = [best.split()[0] for _, best in captions]

    labels = tmp_path / 'labels.csv'
    wrong = 'truck' if predicted[2] != 'truck' else 'cat'
    labels.write_text(f'below/1.png,{predicted[1]}\nbelow/2.png,{wrong}\n')
    command('predict', 'models/run', *files, '--gallery', 'a.png', '--labels', labels)
    _, marked, _, title, right = drawn.pop()
    assert title == '1 of 2 right' and right == [None, True, False, None, None, None]
    captions[2] = (*captions[2], f'truth: {wrong}')
    assert marked == captions


def test_flags_may_stand_between_files(in_run, command, folder):
    files = [folder / f'{number}.png' for number in range(3)]
    expected = command('predict', 'models/run', *files, '--top', 1, '-b', 2)
    assert expected[0] == 0
    given = ['--top', 1, 'models/run', files[0], '-b', 2, *files[1:]]
    assert command('predict', *given) == expected


def test_pictures_need_no_data(own_run, command, folder):
    (own_run / 'dataset').rename(own_run / 'gone')
    assert command('predict', 'models/run', folder, '--tta', 'mirror')[0] == 0


def test_unknown_preprocessing(own_run, refused, folder):
    with np.load('models/run/input.npz') as arrays:
        content = dict(arrays)
    del content['preprocessing']
    np.savez('models/run/input.npz', **content)
    assert 'nobody knows how' in refused('predict', 'models/run', folder)


@pytest.fixture
def mixed(folder, tmp_path):
    """The four pictures, of which 1 is cut, and three files that are no pictures."""
    mixed = shutil.copytree(folder, tmp_path / 'mixed')
    (mixed / '1.png').write_bytes((folder / '1.png').read_bytes()[:200])
    (mixed / 'empty.jpg').touch()
    (mixed / 'text\n.gif').write_text('text')
    Image.fromarray(np.zeros((40, 40), np.float32)).save(mixed / 'fractions.tif')
    return mixed


@pytest.mark.parametrize('kind', ['json', 'csv', 'table'])
def test_what_cannot_be_read_is_told_and_left_out(in_run, command, folder, mixed, kind):
    labels = mixed / 'labels.csv'
    labels.write_text(''.join(f'{number}.png,{number}\n' for number in range(4)))
    arguments = ['--format', kind, '--labels', labels]
    whole = [folder / f'{number}.png' for number in (0, 2, 3)]
    (mixed / 'whole.csv').write_text('0.png,0\n2.png,2\n3.png,3\n')
    _, expected, _ = command('predict', 'models/run', *whole, *arguments[:3], mixed / 'whole.csv')
    gallery = mixed / 'new' / 'sheet.png'
    status, out, err = command('predict', 'models/run', mixed, *arguments, '--gallery', gallery)
    if kind == 'table':
        out, _, last = out.rstrip('\n').rpartition('\n')
        assert last == f'gallery  {gallery}'
    assert status == 2 and out.strip() == expected.replace(str(folder), str(mixed)).strip()
    *warnings, error = err.splitlines()
    assert error == 'predict.py: error: 4 of 7 pictures could not be read'
    bad = ['1.png', 'empty.jpg', 'fractions.tif', r'text\n.gif']
    for warning, name in zip(warnings, bad, strict=True):
        assert warning.startswith(f'warning: {mixed / name}: cannot be read as a picture (')
    with Image.open(gallery) as sheet:
        assert sheet.width == 16 + 3 * 152


def test_nothing_can_be_read(in_run, command, mixed):
    bad = [mixed / 'empty.jpg', mixed / 'fractions.tif']
    gallery = mixed / 'new' / 'sheet.png'
    status, out, err = command('predict', 'models/run', *bad, '--gallery', gallery)
    assert status == 2 and out == '' and not gallery.parent.exists()
    *warnings, error = err.splitlines()
    assert len(warnings) == 2 and error.endswith('error: none of the 2 pictures could be read')


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        ([], '--first'),
        (['none.png'], 'none.png: no such picture'),
        (['dataset'], 'dataset: no picture'),
        (['dataset/classes.json'], 'dataset/classes.json: cannot be read as a picture'),
        (['--first', '41'], 'there are only 40'),
        (['--first', '0'], '--first 0'),
        (['--first', '1', 'x.png'], '--first'),
        (['--first', '1', '--top', '0'], '--top 0'),
        (['--first', '1', '--format', 'jsn'], "did you mean 'json'?"),
        (['--first', '1', '--gallery', 'a.jpg'], '.png'),
        (['--first', '1', '--gallery', 'dataset'], '.png'),
        (['--first', '1', '-d', 'none.pkl'], 'none.pkl'),
        (['FOLDER', '--labels', 'none.csv'], 'none.csv: cannot be read (No such file'),
        (['FOLDER', '--labels', 'dataset/classes.json'], 'line 1'),
        (['FOLDER', '--labels', 'dataset/image_raw.pkl'], 'cannot be read'),
    ],
)
def test_mistakes(in_run, refused, folder, arguments, word):
    arguments = [folder if argument == 'FOLDER' else argument for argument in arguments]
    assert word in refused('predict', 'models/run', *arguments)


def test_pictures_without_weights(in_run, refused, folder):
    one, other = folder / '0.png', folder / '1.png'
    for files in ([one], [one, other]):
        line = refused('predict', *files)
        assert f'{one}: no weights, which must come first' in line
        assert line.endswith(f'predict.py models/RUN {one}\n')
    assert 'give the weights of a run, such as models/run' in refused('predict', folder)


def test_too_many_for_a_gallery(in_run, refused, tmp_path, monkeypatch):
    monkeypatch.setattr('chainer_cifar.figures.GALLERY', 3)
    path = tmp_path / 'a.png'
    assert 'at most 3' in refused('predict', 'models/run', '--first', 4, '--gallery', path)
