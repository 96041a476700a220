"""src/dataset.py on the user's own pictures, and training on what it writes."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import own_pictures
from chainer_cifar import figures
from chainer_cifar.data import dataset, listing, preprocess, store
from chainer_cifar.data.sources import sources

FILES = ('classes.json', 'image_raw', 'image_raw_stats.npz', 'label.pkl', 'pictures.csv')


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Work in a folder that holds 30 pictures of three classes in ``my pictures``."""
    monkeypatch.chdir(tmp_path)
    own_pictures.write(tmp_path / 'my pictures', 10)
    return tmp_path / 'my pictures'


def test_from_a_folder_to_predictions(pictures, command, tmp_path):
    status, out, err = command('dataset', 'my pictures', '--seed', 3)
    assert (status, err) == (0, ''), err
    assert '24 pictures to train and validate, 6 to test, 3 classes' in out
    folder = tmp_path / 'dataset' / 'my pictures'
    assert sorted(os.listdir(folder)) == sorted((*FILES, 'sample_raw.png'))
    assert json.loads((folder / 'classes.json').read_text('utf-8')) == ['a b', 'c', '猫']
    data = dataset.load(folder / 'image_raw', folder / 'label.pkl')
    assert data.shape == (3, 32, 32) and data.train_images.dtype == np.uint8
    assert np.bincount(data.train_labels).tolist() == [8, 8, 8]

    paths = ('-d', f'{folder}/image_raw', '-l', f'{folder}/label.pkl', '--normalize', 'channel')
    flags = ('-m', 'simple_gap', '-b', 7, '--iter', 2, '--optimizer', 'adam', '-p', 'own')
    status, out, err = command('train', *paths, *flags)
    assert status == 0, err
    assert '21 images to train, 3 to validate, 6 to test' in out
    status, out, err = command('evaluate', 'models/own', '--set', 'valid')
    assert status == 0, err
    status, out, err = command('predict', 'models/own', pictures / 'c' / '00.png')
    assert status == 0 and err == '', err


def test_a_source_of_pictures_that_somebody_adds(pictures, command, monkeypatch):
    def of_one_folder(folder: str) -> listing.Listing:
        paths = sorted(pathlib.Path(folder).iterdir())
        return listing.make(paths, [path.name[1] for path in paths], ['train'] * 10, folder)

    monkeypatch.setitem(sources._items, 'flat', of_one_folder)
    of_two = [f'{i}{"ab"[i % 2]}.png' for i in range(10)]
    for path, name in zip(sorted((pictures / 'c').iterdir()), of_two, strict=True):
        path.rename(path.with_name(name))
    status, _, err = command('dataset', 'my pictures/c', '--source', 'flat', '--out', 'o')
    assert (status, err) == (0, ''), err
    assert json.loads(pathlib.Path('o/classes.json').read_text()) == ['a', 'b']
    assert '--source flat: give the flat of pictures' in command('dataset', '--source', 'flat')[2]


def test_folders_of_two_versions(pictures, command):
    for version in ('own-1.0', 'own-1.5'):
        pictures = pictures.rename(pictures.with_name(version))
        assert command('dataset', version)[0] == 0
    assert sorted(os.listdir('dataset')) == ['own-1.0', 'own-1.5']


def test_the_written_table_gives_the_same_again(pictures, command, tmp_path):
    table = tmp_path / 'dataset' / 'my pictures' / 'pictures.csv'
    flags = ('--size', 40, '--fit', 'pad', '--grey')
    assert command('dataset', 'my pictures', *flags)[0] == 0
    status, out, err = command('dataset', table, *flags, '--out', 'again')
    assert (status, err) == (0, '') and 'again/image_raw' in out
    one, other = (
        dataset.load(folder / 'image_raw', folder / 'label.pkl')
        for folder in (table.parent, tmp_path / 'again')
    )
    assert one.shape == (1, 40, 40) and one.class_names == other.class_names
    assert one.checksum() == other.checksum()


def test_parts_and_groups_reach_the_files(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    for part in ('train', 'val'):
        own_pictures.write(tmp_path / 'in' / part, 6)
    # Pictures 00 to 03 of a class are of one object, 04 and 05 of others.
    assert command('dataset', 'in', '--group', r'(.*?)[0-3]?\.png', '--out', 'o')[0] == 0
    labels = store.read_labels('o/label.pkl')
    assert len(labels['valid']) == 18 and len(labels['group']) == len(labels['train'])
    assert len(labels['train']) + len(labels['test']) == 36
    lines = (tmp_path / 'o' / 'pictures.csv').read_text('utf-8').splitlines()
    assert lines[0] == 'path,label,split,group' and len(lines) == 37
    groups = {
        part: {line.split(',')[-1] for line in lines if f',{part},' in line}
        for part in ('train', 'valid', 'test')
    }
    assert len(set.union(*groups.values())) == 18
    assert not groups['train'] & groups['test'] and groups['test']


def test_other_preprocessings_of_32x32(pictures, command):
    assert command('dataset', 'my pictures', '--only', 'mean,raw', '--out', 'o')[0] == 0
    raw, mean = store.read_images('o/image_raw'), store.read_images('o/image.pkl')
    fitted, _ = store.read_statistics('o/image_stats.npz')
    np.testing.assert_array_equal(mean['test'], raw['test'] - fitted.mean)
    assert command('dataset', 'my pictures', '--only', 'mean', '--out', 'p')[0] == 0
    assert 'image_raw' not in os.listdir('p') and 'image.pkl' in os.listdir('p')


def test_images_that_are_left_of_other_pictures(pictures, command):
    assert command('dataset', 'my pictures', '--only', 'mean,raw', '--out', 'o')[0] == 0
    assert command('dataset', 'my pictures', '--size', 16, '--out', 'o')[::2] == (0, '')
    (pictures / 'c' / '00.png').rename(pictures / 'a b' / 'new.png')
    status, _, err = command('dataset', 'my pictures', '--out', 'o')
    assert status == 0 and err.startswith('warning: o/image.pkl: is of an earlier data set')
    assert command('dataset', 'my pictures', '--only', 'mean', '--out', 'o')[::2] == (0, '')


def test_a_new_data_set_replaces_the_old_one(pictures, command):
    for size in (16, 24):
        assert command('dataset', 'my pictures', '--size', size, '--out', 'o')[0] == 0
    assert store.read_images('o/image_raw')['train'].shape == (24, 3, 24, 24)
    assert sorted(os.listdir('o')) == sorted((*FILES, 'sample_raw.png'))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--size', 0], '--size 0: must be a number from 8 to 2048'),
        (['--size', 10000], '--size 10000: must be a number from 8 to 2048'),
        (['--fit', 'stretch'], "--fit 'stretch': must be one of crop, pad, squash"),
        (['--test', 0], '--test 0.0: must be a number between 0 and 1'),
        (['--test', 'nan'], '--test nan: must be a number between 0 and 1'),
        (['--seed', -1], '--seed -1: must be a number'),
        (['-j', -1], '-j -1: must be a number from 0 to 256'),
        (['--group', '('], "--group '(': no regular expression"),
        (['--group', 'a{99999999999}'], 'no regular expression'),
        (['--group', 5000 * '(?:'], 'no regular expression'),
        (['--group', 'xyz'], "--group 'xyz': finds nothing in "),
        (['--only', 'zca', '--size', 64], '--only zca: takes images of 32x32 in colour, not 64x64'),
        (['--only', 'mean', '--grey'], '--only mean: takes images of 32x32 in colour, not 32x32'),
        (['--source', 'digits'], '--source digits takes no pictures'),
        (['--source', 'csv'], 'Is a directory'),
        (['--dir', 'x'], '--dir: is for an extracted archive, not for your own pictures'),
        (['--eps', 1], '--eps: is for whitening; name zca or norm_zca in --only'),
    ],
)
def test_bad_flags(pictures, refused, arguments, message):
    assert message in refused('dataset', 'my pictures', *arguments)
    assert os.listdir() == ['my pictures']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['none'], 'none: no such folder of pictures'),
        (['--source', 'folder'], '--source folder: give the folder of pictures, too'),
        (['--size', 64], '--size: is for your own pictures'),
        (['--source', 'digits', '--grey'], '--grey: is for your own pictures'),
        (['-j', 2], ' -j: is for your own pictures'),
    ],
)
def test_no_pictures(tmp_path, monkeypatch, refused, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused('dataset', *arguments)
    assert os.listdir() == []


def test_bad_pictures(pictures, refused):
    for path in sorted((pictures / 'c').iterdir())[1:]:
        path.unlink()
    message = "my pictures: class 'c' has 1 picture; it needs 3 at least"
    assert message in refused('dataset', 'my pictures')
    for name in ('a b', 'c'):
        (pictures / name).rename(name)
    assert "my pictures: only one class, '猫'" in refused('dataset', 'my pictures')
    (pictures / '猫').rename('猫')
    assert 'my pictures: no picture in folders in it' in refused('dataset', 'my pictures')
    assert not os.path.exists('dataset')


def test_a_test_part_and_a_share_for_it(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    for part in ('train', 'test'):
        own_pictures.write(tmp_path / 'in' / part, 3)
    assert '--test: in has a test part already' in refused('dataset', 'in', '--test', 0.2)


def test_parts_stay_parts_beside_what_dataset_wrote(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    for part in ('train', 'test'):
        own_pictures.write(tmp_path / 'dataset/pets' / part, 3)
    for _ in range(2):
        assert command('dataset', 'dataset/pets', '--size', 16)[0] == 0
        classes = json.loads((tmp_path / 'dataset/pets/classes.json').read_text('utf-8'))
        assert classes == list(own_pictures.CLASSES)


def test_a_bomb_and_a_damaged_tiff_are_passed_over(pictures, command):
    Image.new('1', (20000, 10000)).save(pictures / 'c' / 'bomb.png')
    (pictures / 'c' / 'x.tif').write_bytes(b'II*\0' + b'\xff' * 200)
    status, _, err = command('dataset', 'my pictures', '--out', 'o')
    assert status == 0 and err.count('\n') == 1
    assert 'passed over 2 of 32 pictures, the first: ' in err


def test_an_interruption_pairs_no_images_with_other_labels(pictures, command, monkeypatch):
    """As of another --seed: there are as many images and labels as before."""
    files = sorted(pictures.rglob('*.png'))
    mixed = np.random.RandomState(0).permutation(len(files))
    lines = [f'{files[i].relative_to(pictures.parent)},{files[i].parent.name}' for i in mixed]
    pathlib.Path('own.csv').write_text('\n'.join(['path,label', *lines]), encoding='utf-8')
    for only, owner, name in (('raw', figures, 'image_sheet'), ('mean', preprocess.Mean, 'fit')):
        flags = ('own.csv', '--only', only, '--out', only)
        assert command('dataset', *flags)[0] == 0

        def interrupt(*args, **named):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupt)
            assert command('dataset', *flags, '--seed', 1)[0] == 130
            assert pathlib.Path(only, 'label.pkl').exists()  # they are in the same order
            assert command('dataset', *flags, '--seed', 2)[0] == 130
        assert not pathlib.Path(only, 'label.pkl').exists()
        assert command('dataset', *flags, '--seed', 2)[0] == 0


def test_pictures_called_as_a_source(pictures, command):
    pictures.rename('cifar10')
    assert command('dataset', 'cifar10')[0] == 0
    assert os.listdir('dataset') == ['cifar10']


def test_what_fit_prepared_is_not_replaced(pictures, command, refused):
    assert command('dataset', 'my pictures')[0] == 0
    folder = pathlib.Path('dataset/my pictures')
    (folder / 'fit.json').write_text('{}')
    assert f'{folder}: is what fit prepared; give another' in refused('dataset', 'my pictures')
    (folder / 'pictures.csv').rename(folder / 'listing.csv')
    assert command('dataset', folder / 'listing.csv', '--out', folder)[0] == 0


def test_a_table_without_pictures_to_train(pictures, refused):
    lines = [f'my pictures/{name}/0{i}.png,{name},valid' for name in ('c', 'a b') for i in (0, 1)]
    pathlib.Path('own.csv').write_text('\n'.join(['path,label,split', *lines]))
    assert "class 'a b' has 0 pictures; it needs 2 at least" in refused('dataset', 'own.csv')


def test_the_folder_where_one_is(pictures, command, monkeypatch):
    assert command('dataset', 'my pictures', '--only', 'raw')[0] == 0
    monkeypatch.chdir('dataset/my pictures/image_raw')
    flags = ('-l', '../label.pkl', '-m', 'simple_gap', '-b', 7, '--dry_run')
    status, _, err = command('train', '-d', '.', *flags)
    assert (status, err) == (0, '')


def test_ctrl_c_leaves_nothing_behind(pictures, tmp_path):
    code = (
        'import sys, os, signal\n'
        # A job that a shell runs in the background ignores it.
        'signal.signal(signal.SIGINT, signal.default_int_handler)\n'
        'from chainer_cifar import cli\n'
        'from chainer_cifar.data import picture\n'
        'real = picture.read\n'
        'def read(*args):\n'
        '    os.kill(os.getpid(), signal.SIGINT)\n'
        '    return real(*args)\n'
        'picture.read = read\n'
        "sys.exit(cli.run('dataset', ['my pictures'], 'dataset.py'))\n"
    )
    source = os.path.dirname(os.path.dirname(os.path.dirname(dataset.__file__)))
    done = subprocess.run(
        [sys.executable, '-c', code],
        env={**os.environ, 'PYTHONPATH': source},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 130 and 'Traceback' not in done.stderr, done.stderr
    assert os.listdir() == ['my pictures']
