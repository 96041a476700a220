"""CSV files that name pictures."""

import os
import sys

import pytest

from chainer_cifar.data import listing, picture_table
from chainer_cifar.errors import UserError


@pytest.fixture
def table(tmp_path):
    """Writes a CSV file beside a folder x with the pictures 0.png to 9.png."""
    (tmp_path / 'x').mkdir()
    for i in range(10):
        (tmp_path / 'x' / f'{i}.png').touch()

    def write(text, encoding='utf-8'):
        path = tmp_path / 'labels.csv'
        path.write_bytes(text.encode(encoding))
        return path

    return write


def refusal(path):
    with pytest.raises(UserError) as error:
        picture_table.read(path)
    text = str(error.value)
    assert text.startswith(f'{path}: ') and '\n' not in text
    return text


def test_all_columns(table, tmp_path):
    path = table(
        'path,label,split,group,note\n'
        'x/0.png,cat,train,g1,-\nx/1.png,dog,val,g2,-\n"x/2.png",猫,Test,g1,-\n'
    )
    found = picture_table.read(path)
    assert [p.name for p in found.paths] == ['0.png', '1.png', '2.png']
    assert all(p.parent == tmp_path / 'x' for p in found.paths)
    assert found.class_names == ('cat', 'dog', '猫') and found.labels.tolist() == [0, 1, 2]
    assert found.parts.tolist() == ['train', 'valid', 'test']
    assert found.grouped and found.groups.tolist() == [0, 1, 0]


def test_a_picture_without_a_group_is_by_itself(table):
    rows = ('x/0.png,a,', 'x/1.png,b,4', 'x/2.png,b, ', 'x/3.png,a,4', 'x/4.png,a')
    found = picture_table.read(table('\n'.join(['path,label,group', *rows])))
    assert found.grouped and found.groups.tolist() == [0, 1, 2, 1, 3]


@pytest.mark.parametrize('delimiter', [',', ';', '\t'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
def test_as_spreadsheets_write_them(table, delimiter, encoding):
    lines = ['Label, Path', 'cat, x/0.png', '', 'dog, x/1.png', '']
    path = table('\r\n'.join(lines).replace(', ', delimiter), encoding)
    found = picture_table.read(path)
    assert found.class_names == ('cat', 'dog') and set(found.parts) == {'train'}
    assert not found.grouped


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', "no column is called 'path' (it is empty)"),
        ('path,labels\nx/0.png,a\n', "no column is called 'label' (it has: path, labels), did you"),
        ('path,label\n', 'names no picture'),
        ('path,label\nx/0.png,a\nx/1.png\n', 'line 3: no label'),
        ('path,label\n,a\n', 'line 2: no path'),
        ('path,label\nx/0.png,a\nx/77.png,b\nx/78.png,b\n', 'line 3: no such file: '),
        ('path,label\nx/0.png,a\nx/1.png,a\nx/0.png,b\n', 'line 4: x/0.png is in line 2 already'),
        ('path,label\nx/0.png,a\n./x/0.png,b\n', 'line 3: ./x/0.png is in line 2 already'),
        ('path,label,split\nx/0.png,a,trian\n', "line 2: split is 'trian'"),
        ('path,label\nx/0.png,a\nx/1.png,a\n', "only one class, 'a'"),
        ('path,label\nx/0.png,"a' + 'b' * 200_000, 'no CSV file (field larger'),
    ],
)
def test_bad_tables(table, text, message):
    assert message in refusal(table(text))


def test_missing_files_are_counted(table):
    text = refusal(table('path,label\nx/0.png,a\nx/77.png,b\nx/78.png,b\n'))
    assert '(2 of 3 pictures are missing)' in text


def test_not_text(table, tmp_path):
    assert 'UTF-8' in refusal(table('path,label\nx/0.png,Käse\n', 'latin-1'))
    assert 'UTF-8' in refusal(table('path,label\nx/0.png,a\n', 'utf-16'))
    assert 'no such CSV file' in refusal(tmp_path / 'none.csv')
    assert 'Is a directory' in refusal(tmp_path / 'x')


@pytest.mark.skipif(sys.platform == 'darwin', reason='its file names are UTF-8')
def test_names_of_files_may_be_any_bytes(table, tmp_path):
    text = 'path,label\nx/0.png,a\nx/café.png,café\n'
    assert 'UTF-8' in refusal(table(text, 'latin-1'))  # there is no such file
    name = os.fsdecode('café'.encode('latin-1'))
    (tmp_path / 'x' / f'{name}.png').touch()
    found = picture_table.read(table(text, 'latin-1'))
    assert found.paths[1].name == f'{name}.png' and found.class_names == ('a', name)


def test_names_with_a_carriage_return(tmp_path):
    paths = [tmp_path / f'a\rb{i}.png' for i in range(3)]
    for path in paths:
        path.touch()
    made = listing.make(paths, ['c', 'd\re', 'c'], 3 * ['train'], 'x')
    picture_table.write(tmp_path / 'own.csv', made)
    found = picture_table.read(tmp_path / 'own.csv')
    assert found.paths == paths and found.class_names == made.class_names


def test_a_pipe(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(UserError, match='is a pipe or a device'):
        picture_table.read(tmp_path / 'pipe')
