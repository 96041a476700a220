"""Folders of class folders, as people have them."""

import pathlib

import pytest

import own_pictures
from chainer_cifar.data import picture_folder
from chainer_cifar.errors import UserError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(listing, folder):
    return [path.relative_to(folder).as_posix() for path in listing.paths]


def test_class_folders(tmp_path):
    own_pictures.write(tmp_path, 2)
    found = picture_folder.read(tmp_path)
    assert found.class_names == ('a b', 'c', '猫')
    assert names(found, tmp_path)[::2] == ['a b/00.png', 'c/00.png', '猫/00.png']
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2] and set(found.parts) == {'train'}
    assert not found.grouped and found.groups.tolist() == list(range(6))


def test_folders_inside_of_a_class_and_what_does_not_count(tmp_path):
    shown = ['a/x/y/1.JPG', 'a/2.png', 'b/z/3.webp']
    touch(tmp_path, *shown, 'a/.hidden.png', 'a/.cache/4.png', '.git/5.png', 'b/notes.txt')
    found = picture_folder.read(tmp_path)
    assert sorted(names(found, tmp_path)) == sorted(shown) and found.class_names == ('a', 'b')


@pytest.mark.parametrize('valid', ['valid', 'val', 'Validation'])
def test_parts(tmp_path, valid):
    for part in ('train', valid, 'test'):
        touch(tmp_path, f'{part}/b/1.png', f'{part}/a/2.png')
    found = picture_folder.read(tmp_path)
    assert found.class_names == ('a', 'b')
    assert sorted(found.parts) == ['test', 'test', 'train', 'train', 'valid', 'valid']
    for path, part in zip(found.paths, found.parts, strict=True):
        assert f'/{valid if part == "valid" else part}/' in str(path)


def test_a_class_may_be_called_train(tmp_path):
    found = picture_folder.read(touch(tmp_path, 'train/1.png', 'bus/2.png', 'test/3.png'))
    assert found.class_names == ('bus', 'test', 'train')


def test_folders_without_pictures_beside_the_parts_do_not_count(tmp_path, capsys):
    touch(tmp_path, *(f'{part}/{name}/1.png' for part in ('train', 'test') for name in 'ab'))
    touch(tmp_path, 'image_raw/train.npy', '__MACOSX/train/a/._1.png')
    found = picture_folder.read(tmp_path)
    assert found.class_names == ('a', 'b') and sorted(set(found.parts)) == ['test', 'train']
    err = capsys.readouterr().err
    assert f'{tmp_path / "image_raw"}: no picture in it' in err and '__MACOSX: no picture' in err


def test_parts_beside_other_pictures_are_refused(tmp_path):
    touch(tmp_path, 'train/a/1.png', 'train/b/2.png', 'test/a/3.png', 'new/x/4.png')
    with pytest.raises(
        UserError, match=r'holds test and train, and other .* as new; move'
    ) as error:
        picture_folder.read(tmp_path)
    assert str(error.value).startswith(f'{tmp_path}: ') and '\n' not in str(error.value)


def test_a_part_may_be_empty(tmp_path):
    touch(tmp_path, 'train/a/1.png', 'train/b/2.png', 'test/readme.txt')
    found = picture_folder.read(tmp_path)
    assert found.class_names == ('a', 'b') and set(found.parts) == {'train'}


def test_pictures_of_a_part_that_are_in_no_class_are_told(tmp_path, capsys):
    touch(tmp_path, 'train/a/1.png', 'train/b/2.png', 'test/3.png', 'test/4.png')
    assert set(picture_folder.read(tmp_path).parts) == {'train'}
    err = capsys.readouterr().err
    assert f'{tmp_path / "test"}: 2 pictures are in no class folder; passed over' in err


def test_parts_as_others_call_them(tmp_path):
    touch(tmp_path, 'Training/a/1.png', 'Training/b/2.png', 'Testing/a/3.png', 'Testing/b/4.png')
    found = picture_folder.read(tmp_path)
    assert found.class_names == ('a', 'b')
    assert found.parts.tolist() == ['test', 'test', 'train', 'train']


def test_a_part_in_two_folders(tmp_path):
    touch(tmp_path, 'Train/a/1.png', 'train/b/2.png', 'test/a/3.png', 'test/b/4.png')
    assert len(picture_folder.read(tmp_path)) == 4


def test_one_part_alone(tmp_path):
    touch(tmp_path, 'train/a/1.png', 'train/b/2.png')
    with pytest.raises(UserError, match=r'holds one part only; give the folder .*/train$'):
        picture_folder.read(tmp_path)


def test_names_that_differ_by_a_space(tmp_path):
    touch(tmp_path, 'cat/1.png', 'cat /2.png', 'dog/3.png')
    with pytest.raises(UserError, match="'cat ' and 'cat' are two folders; rename one"):
        picture_folder.read(tmp_path)


def test_kinds_that_cannot_be_read_are_told(tmp_path, capsys):
    touch(tmp_path, 'a/1.png', 'a/2.HEIC', 'a/x/3.heic', 'a/notes.txt', 'b/1.png', 'b/4.cr2')
    assert len(picture_folder.read(tmp_path)) == 2
    assert capsys.readouterr().err == (
        f'warning: {tmp_path}: files of kinds that cannot be read are passed over '
        f'(1 .cr2, 2 .heic)\n'
    )


def test_numbers_are_sorted_by_their_value(tmp_path):
    found = picture_folder.read(touch(tmp_path, '10/1.png', '9/2.png', '0/3.png'))
    assert found.class_names == ('0', '9', '10')


def test_links_are_followed_and_circles_end(tmp_path):
    own_pictures.write(tmp_path / 'real', 1)
    top = touch(tmp_path / 'top', 'a/1.png', 'a/sub/2.png', 'b/3.png')
    (top / 'a' / 'up').symlink_to('..')
    (top / 'a' / 'self').symlink_to('.')
    (top / 'a' / 'sub' / 'again').symlink_to('..')
    (top / 'a' / 'broken').symlink_to('nowhere.png')
    (top / 'c').symlink_to('../real/c')
    found = picture_folder.read(top)
    assert names(found, top) == ['a/1.png', 'a/sub/2.png', 'b/3.png', 'c/00.png']


def test_a_folder_without_pictures_is_told(tmp_path, capsys):
    touch(tmp_path, 'a/1.png', 'b/2.png', 'c/readme.txt', 'loose.png')
    assert picture_folder.read(tmp_path).class_names == ('a', 'b')
    err = capsys.readouterr().err
    assert f'warning: {tmp_path / "c"}: no picture in it' in err
    assert '1 pictures are in no class folder' in err


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ([], 'no picture in folders in it; each class needs a folder'),
        (['notes.txt', 'a/b.txt'], 'no picture in folders in it'),
        (['1.png', '2.png'], '2 pictures and no class folders'),
        (['a/1.png', 'a/2.png'], "only one class, 'a'"),
    ],
)
def test_nothing_to_learn_from(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(UserError, match=message) as error:
        picture_folder.read(tmp_path)
    assert str(error.value).startswith(f'{tmp_path}: ') and '\n' not in str(error.value)


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match='no such folder'):
        picture_folder.read(tmp_path / 'none')


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    touch(tmp_path, 'a/1.png', 'b/2.png')

    listed = pathlib.Path.iterdir

    def refusing(path):
        if path.name == 'b':
            raise PermissionError(13, 'Permission denied', str(path))
        return listed(path)

    monkeypatch.setattr(pathlib.Path, 'iterdir', refusing)
    with pytest.raises(UserError, match=r'b: Permission denied$'):
        picture_folder.read(tmp_path)
