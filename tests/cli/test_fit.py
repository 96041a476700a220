"""``fit.py``: what it refuses, in one line, leaving nothing; how it goes on after a stop.

test_api.py runs it to its end, too.
"""

import csv
import json
import os
import pathlib
import shutil
import sys
import types

import filelock
import numpy as np
import pytest
from PIL import Image

import chainer_onednn
from chainer_cifar import cli
from chainer_cifar.commands import fit
from chainer_cifar.data import dataset, picture_table, store
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import out_of_fold
from chainer_cifar.training import plan, run


def picture(path, seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((40, 40)).save(path)


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def refused(*arguments):
        assert cli.run('fit', list(map(str, arguments)), 'fit.py') == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith('fit.py: error: ')
        for folder in ('dataset', 'models', 'results'):
            assert not (tmp_path / folder).exists()
        return error

    return refused


@pytest.mark.parametrize(
    ('flags', 'reason'),
    [
        ((), 'no picture in folders'),
        (('--minutes', 0), '--minutes 0.0: must be'),
        (('--size', 4), '--size 4: must be'),
        (('--fit', 'cut'), "--fit 'cut': must be one of"),
        (('--init', 'x'), "--init 'x': must be one of"),
        (('--folds', 1), '--folds 1: must be'),
        (('--test', 1), '--test 1.0: must be'),
        (('--name', '../x'), '--name ../x: must be a name'),
        (('-g', 99), '-g 99: '),  # with a GPU and without
    ],
)
def test_flags_and_an_empty_folder(refused, tmp_path, flags, reason):
    (tmp_path / 'own').mkdir()
    assert reason in refused('own', *flags)


def test_beside_the_reason_there_are_warnings_only(tmp_path, monkeypatch, command):
    def fail(*arguments):
        raise UserError('a reason')

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, 'pretrained_there', lambda: False)
    monkeypatch.setattr(fit, '_prepare', fail)
    two_parts(tmp_path / 'own', 'test')
    status, _, err = command('fit', 'own')
    *warnings, last = err.splitlines()
    assert status == 2 and last == 'fit.py: error: a reason'
    assert any('random weights' in line for line in warnings)
    assert all(line.startswith('warning: ') for line in warnings)


def test_a_name_like_a_flag(refused, tmp_path):
    (tmp_path / '-own').mkdir()
    reason = '--name -own: commands would take it for a flag; give a --name without'
    assert reason in refused('./-own')
    assert 'no picture in folders' in refused('./-own', '--name', 'own')


def test_no_such_folder(refused):
    assert 'none: no such folder of pictures' in refused('none')


def test_one_class_or_one_picture_of_a_class(refused, tmp_path):
    for i in range(9):
        picture(tmp_path / f'own/cat/{i}.png', i)
    assert "only one class, 'cat'" in refused('own')
    picture(tmp_path / 'own/dog/1.png', 99)
    assert 'fewer than two classes have 3 different pictures' in refused('own')


def two_parts(folder, other):
    """Six different pictures of each class to train, and six more in another part."""
    for part, start in (('train', 0), (other, 50)):
        for number, name in enumerate(('cat', 'dog')):
            for i in range(6):
                picture(folder / part / name / f'{i}.png', start + 10 * number + i)


def test_a_leak(refused, tmp_path):
    two_parts(tmp_path / 'own', 'test')
    picture(tmp_path / 'own/test/cat/again.png', 3)
    picture(tmp_path / 'own/train/cat/3b.png', 3)
    error = refused('own')
    assert '1 pictures are in two parts' in error and '--leaks' in error
    assert 'cat/again.png (test) and own/train/cat/3.png (train)' in error


def test_a_share_for_the_test_beside_a_test_part(refused, tmp_path):
    for part in ('train', 'test'):
        for name in ('cat', 'dog'):
            picture(tmp_path / f'own/{part}/{name}/1.png', 1)
    assert '--test: own has a test part already' in refused('own', '--test', 0.3)


def test_a_leak_where_there_is_no_test_part_yet(refused, tmp_path):
    two_parts(tmp_path / 'own', 'val')
    picture(tmp_path / 'own/val/cat/again.png', 3)
    assert 'own/train/cat/3.png (train) and own/val/cat/again.png (valid)' in refused('own')


def test_a_folder_that_a_killed_fit_made_is_no_other_data(tmp_path):
    folder = tmp_path / 'dataset/own'
    assert not fit._holds_something(folder)
    folder.mkdir(parents=True)
    (folder / '.fit.json.abc.tmp').touch()
    assert not fit._holds_something(folder)
    (folder / 'label.pkl').touch()
    assert fit._holds_something(folder) and fit._holds_something(folder / 'label.pkl')


def test_a_class_of_the_test_part_alone(refused, tmp_path):
    for part, names in (('train', 'ab'), ('test', 'abc')):
        for name in names:
            for i in range(3):
                seed = 100 * (part == 'test') + 10 * ord(name) + i
                picture(tmp_path / 'own' / part / name / f'{i}.png', seed)
    assert "own: class 'c' has 0 pictures in its train part" in refused('own')


def test_one_picture(refused, tmp_path):
    picture(tmp_path / 'a.PNG', 1)
    assert 'a.PNG: is one picture; give the folder' in refused('a.PNG')


QUICK = ('--minutes', '0.001', '--size', '16', '--init', 'none')


class Nothing:
    @staticmethod
    def main(argv, prog):
        print('not here:', prog)


class Stopped:
    @staticmethod
    def main(argv, prog):
        raise KeyboardInterrupt


@pytest.fixture
def fitted(tmp_path, monkeypatch, capsys, without_curves):
    """Runs ``fit own …``, two classes of eight pictures each: (exit status, stdout, last line)."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(('犬 a', 'b')):
        for i in range(8):
            picture(tmp_path / 'own' / name / f'{i}.png', 10 * number + i)

    # These take most of the time, and test_api.py has them.
    for name in ('evaluate', 'report'):
        monkeypatch.setitem(fit._COMMANDS, name, Nothing)

    def fitted(*arguments):
        status = cli.run('fit', ['own', *QUICK, *map(str, arguments)], 'fit.py')
        out, error = capsys.readouterr()
        return status, out, (error.splitlines() or [''])[-1]

    yield fitted
    chainer_onednn.disable()


def weights(name):
    with np.load(f'models/{name}/best.npz') as file:
        return {key: file[key].tobytes() for key in file}


def test_stopped_in_each_step_it_goes_on_to_the_same_result(fitted, monkeypatch, capsys):
    for name in ('dataset', 'train', 'evaluate', 'report'):
        with monkeypatch.context() as patch:
            patch.setitem(fit._COMMANDS, name, Stopped)
            status, _, last = fitted()
            assert (status, last) == (130, 'fit.py: stopped; the same command goes on from here')
    # What was measured before the stop is not measured again: another time is another result.
    monkeypatch.setattr(run, 'measure', lambda config: pytest.fail('measures again'))
    status, out, _ = fitted()
    assert status == 0 and 'trained already; --overwrite' in out and 'of 2 pictures' in out
    status, _, last = fitted('--minutes', 99)
    assert status == 0 and 'warning: --minutes 99: it was trained with ' in last
    stopped = weights('own')
    flags = {**fit._flags_of(fit.RunFolder('own')), 'prefix': 'whole'}
    assert cli.run('train', fit._as_arguments(flags), 'train.py') == 0
    assert weights('whole') == stopped


@pytest.mark.parametrize('suffix', ['', '_frozen', '_folds'])
def test_a_run_that_is_left_of_other_data(fitted, tmp_path, suffix):
    left = tmp_path / f'results/own{suffix}/config.json'
    left.parent.mkdir(parents=True)
    left.write_text('{}')
    status, _, last = fitted()
    assert status == 2 and f'results/own{suffix}: is there already, from something else' in last
    assert not (tmp_path / 'dataset').exists() and left.exists()


def test_the_second_stage_begins_with_the_weights_of_the_first(fitted, monkeypatch):
    (only,) = plan.stages(False, 14, 1, False)
    stages = [plan.Stage('_frozen', only.flags | {'freeze': 'bconv1'}, 0.5, 1), only]
    monkeypatch.setattr(plan, 'stages', lambda *known: stages)
    train = fit._COMMANDS['train']

    class StoppedInTheSecond:
        @staticmethod
        def main(argv, prog):
            if argv[argv.index('--prefix') + 1] == 'own':
                raise KeyboardInterrupt
            train.main(argv, prog)

    with monkeypatch.context() as patch:
        patch.setitem(fit._COMMANDS, 'train', StoppedInTheSecond)
        assert fitted()[0] == 130
    status, out, _ = fitted()
    assert status == 0 and 'results/own_frozen: trained already' in out
    assert fit._flags_of(fit.RunFolder('own'))['init'] == 'models/own_frozen'
    assert 'from models/own_frozen/best.npz' in out


def test_other_minutes_are_measured_anew(fitted, monkeypatch):
    def speed(config):
        return run.Speed(rate=20, train=10, evaluate=0)

    monkeypatch.setattr(run, 'measure', speed)
    with monkeypatch.context() as patch:
        patch.setitem(fit._COMMANDS, 'train', Stopped)
        assert 'about 20 images/s: 1 epoch in 0.001 minutes' in fitted()[1]
        assert '4 epochs in 0.0333 minutes' in fitted('--minutes', 2 / 60 + 1e-9)[1]


def test_ctrl_c_while_it_starts_again(fitted, monkeypatch, capsys):
    assert fitted()[0] == 0
    before = weights('own')

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fit.scan, 'scan', stop)
        assert fitted('--overwrite')[::2] == (130, 'fit.py: interrupted')
    assert weights('own') == before  # nothing was touched yet
    with monkeypatch.context() as patch:
        patch.setitem(fit._COMMANDS, 'dataset', Stopped)
        status, _, last = fitted('--overwrite')
    assert status == 130 and 'the same command without --overwrite goes on' in last
    assert fitted()[0] == 0


def test_folds_after_the_run_and_other_folds(fitted):
    status, out, last = fitted('--folds', 15)  # refused before any training
    assert status == 2 and 'train.py' not in out and not os.path.exists('models')
    assert '--folds 15: there are only 14 groups of training images that stay together' in last
    assert fitted()[0] == 0
    status, out, _ = fitted('--folds', 2)
    assert status == 0 and 'trained already; --overwrite' in out and '\n2 folds, about' in out
    assert 'mean ± sd' in out and 'of 14 images' in out
    assert (
        '%, finished, 2 folds: results/own_folds/report.html' in out
        and 'suspects   results/' in out
    )
    with open('results/own_folds/suspects.csv', encoding='utf-8') as file:
        assert all(pathlib.Path(row['image']).is_file() for row in csv.DictReader(file))
    status, again, _ = fitted('--folds', 2)
    assert status == 0 and 'finished already' in again and 'mean ± sd' in again
    status, _, last = fitted('--folds', 3)
    assert status == 2 and '--folds 3: results/own_folds has 2;' in last
    with filelock.FileLock('models/own_folds/fold2/.lock'):
        status, _, last = fitted('--folds', 3, '--overwrite')
    assert status == 2 and 'models/own_folds/fold2: another process is training into it' in last
    assert os.path.exists('models/own/best.npz')
    assert fitted('--folds', 3, '--overwrite')[0] == 0
    content = json.loads((fit.RunFolder('own_folds').seeds).read_text())
    assert content['seeds'] == [1, 2, 3]


def test_every_step_is_told_where_to_compute(fitted):
    for folds in ((), ('--folds', 2), ('--folds', 2)):  # the last finds all trained
        status, out, _ = fitted('-g', -1, *folds)
        assert status == 0
        steps = [line for line in out.splitlines() if line.startswith('$ ')]
        elsewhere = [line for line in steps if not line.endswith(' -g -1')]
        assert len(steps) > 2 and all('dataset' in line.split(' --')[0] for line in elsewhere)
    assert ' -g -1 --size 16 ' in out  # what to do next


@pytest.mark.skipif(sys.platform == 'darwin', reason='its file names are UTF-8')
def test_names_that_are_not_utf8(fitted, tmp_path):
    name = os.fsdecode(b'caf\xe9')
    (tmp_path / 'own/b').rename(tmp_path / 'own' / name)
    (tmp_path / 'own/犬 a/0.png').rename(tmp_path / f'own/犬 a/{name}.png')
    assert fitted()[0] == 0
    found = picture_table.read('dataset/own/pictures.csv')
    assert len(found) == 16 and sum(path.stem == name for path in found.paths) == 1
    assert found.class_names == (name, '犬 a')


def test_folders_that_are_links(fitted, monkeypatch, tmp_path):
    (tmp_path / 'disk/deep/data').mkdir(parents=True)
    (tmp_path / 'dataset').symlink_to('disk/deep/data')
    (tmp_path / 'own').rename(tmp_path / 'disk/photos')
    (tmp_path / 'own').symlink_to('disk/photos')
    monkeypatch.setitem(fit._COMMANDS, 'train', Stopped)
    assert fitted('--name', 'own')[0] == 130
    with open('dataset/own/pictures.csv', encoding='utf-8') as file:
        paths = [row['path'] for row in csv.DictReader(file)]
    assert len(paths) == 16 and all(pathlib.Path('dataset/own', path).is_file() for path in paths)
    folds = types.SimpleNamespace(flags={'label': 'dataset/own/label.pkl'})
    data = dataset.load('dataset/own/image_raw', 'dataset/own/label.pkl')
    names = list(map(pathlib.Path, out_of_fold.names_of(folds, data)))
    assert len(names) == 14 and all(name.is_file() for name in names)
    assert {name.parts[0] for name in names} == {'own'}  # as the user calls it


def test_copies_do_not_count(fitted, tmp_path):
    for i in range(5):
        shutil.copy(tmp_path / 'own/b/0.png', tmp_path / f'own/b/copy{i}.png')
    status, out, _ = fitted()
    assert status == 0 and '14 pictures to train and validate, 2 to test' in out


def test_copies_in_a_train_part_stay_together(fitted, monkeypatch, tmp_path):
    for name in ('犬 a', 'b'):
        for part, numbers in (('train', range(6)), ('test', (6, 7))):
            target = tmp_path / 'own' / part / name
            target.mkdir(parents=True)
            for i in numbers:
                (tmp_path / 'own' / name / f'{i}.png').rename(target / f'{i}.png')
        (tmp_path / 'own' / name).rmdir()
        shutil.copy(tmp_path / f'own/train/{name}/0.png', tmp_path / f'own/train/{name}/copy.png')
    monkeypatch.setitem(fit._COMMANDS, 'train', Stopped)
    assert fitted()[0] == 130
    with open('dataset/own/listing.csv', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    copies = [row['group'] for row in rows if row['path'].endswith(('b/0.png', 'b/copy.png'))]
    assert len(copies) == 2 and copies[0] == copies[1]
    groups = store.read_labels('dataset/own/label.pkl')['group']
    assert len(groups) == 14 and len(set(groups.tolist())) == 12


def test_the_pictures_that_the_user_validates_by(fitted, monkeypatch, tmp_path):
    for name in ('犬 a', 'b'):
        for part, numbers in (('train', range(5)), ('val', range(5, 8))):
            target = tmp_path / 'own' / part / name
            target.mkdir(parents=True)
            for i in numbers:
                (tmp_path / 'own' / name / f'{i}.png').rename(target / f'{i}.png')
        (tmp_path / 'own' / name).rmdir()
    monkeypatch.setitem(fit._COMMANDS, 'train', Stopped)
    status, out, _ = fitted()
    assert status == 130 and '14 pictures to train and validate, 2 to test' in out
    with open('dataset/own/pictures.csv', encoding='utf-8') as file:
        parts = {row['path']: row['split'] for row in csv.DictReader(file)}
    assert all((part == 'valid') == ('/val/' in path) for path, part in parts.items())
    assert len(store.read_labels('dataset/own/label.pkl')['valid']) == 6
    # Eight are left to train; a tenth of the others would not be set aside.
    assert '--batch_size 2 ' in out and '--no_valid_data' not in out


@pytest.mark.parametrize('change', [{'epochs': {'': 0}}, {'epochs': 3}, {'version': 9}])
def test_a_damaged_note(fitted, tmp_path, change):
    assert fitted()[0] == 0
    path = tmp_path / 'dataset/own/fit.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    status, _, last = fitted()
    assert status == 2 and 'fit.json: cannot be read (' in last and '--overwrite' in last
