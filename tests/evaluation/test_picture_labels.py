import pathlib

import pytest

from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import picture_labels
from chainer_cifar.evaluation.picture_files import Found

NAMES = ['cat', 'dog', '1']


def read(folder, text):
    path = folder / 'labels.csv'
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return picture_labels.read(path, NAMES)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('name,label\na.png,dog\n', [(2, 'a.png', 1)]),
        ('\ufeffname,label\r\na.png,dog\r\n', [(2, 'a.png', 1)]),
        ('a.png, dog\n\nb.png,0', [(1, 'a.png', 1), (3, 'b.png', 0)]),
        ('a.png,1', [(1, 'a.png', 2)]),  # a name goes before a number
        ('"a, b.png",cat', [(1, 'a, b.png', 0)]),
        ('./x//a.png,dog', [(1, 'x/a.png', 1)]),  # as pathlib writes the path that was typed
        ('', []),
    ],
)
def test_read(tmp_path, text, expected):
    assert read(tmp_path, text) == expected


@pytest.mark.parametrize(
    ('text', 'word'),
    [
        ('a.png,dog\nb.png,dgo', "line 2: no class is called 'dgo'"),
        ('a.png', 'line 1'),
        ('a.png,dog,cat', 'line 1'),
        (',dog', 'line 1'),
        ('a\0.png,dog', 'line 1'),
        ('a.png,"x\ny"', r"no class is called 'x\\ny'$"),
        (b'\xff\xfe,dog', 'UTF-8'),
        ('"' + 200000 * 'a', 'line 1'),
    ],
)
def test_bad_labels(tmp_path, text, word):
    with pytest.raises(UserError, match=word):
        read(tmp_path, text)


def assign(names, *pictures, file='labels.csv'):
    """The n-th name has label n; pictures are written as 'folder: below', or as 'path'."""
    lines = [picture_labels.Line(n, name, n) for n, name in enumerate(names)]
    found = []
    for text in pictures:
        folder, colon, below = text.partition(': ')
        path = pathlib.Path(folder, below)
        found.append(Found(path, pathlib.Path(folder) if colon else None))
    return picture_labels.assign(lines, found, file)


@pytest.mark.parametrize(
    'name',
    [
        'pics/x/a.png',  # as found
        '../pics/x/a.png',  # from the folder of the labels file
        'x/a.png',  # from the folder that was searched
        'a.png',
    ],
)
def test_names(name):
    assert assign([name], 'pics: x/a.png', 'b.png', file='csv/labels.csv') == ([0, None], [])


def test_absolute_and_relative_paths_meet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [str(tmp_path / 'a.png'), 'x/b.png']
    assert assign(given, 'x/../a.png', f'{tmp_path}/x/b.png') == ([0, 1], [])
    # A link to the folder of a picture leads there, too.
    (tmp_path / 'x').mkdir()
    (tmp_path / 'link').symlink_to('x')
    assert assign(['link/b.png'], 'x/b.png') == ([0], [])


def test_parts_of_a_path_do_not_count():
    names = ['y/a.png', 'png', 'b/a.png']
    assert assign(names, 'pics: x/a.png', 'pics: b') == ([None, None], names)
    # A file given by itself was not found in a folder.
    assert assign(['x/a.png'], 'pics/x/a.png') == ([None], ['x/a.png'])


def test_the_nearer_meaning_wins():
    """So what predict.py prints as names can always be used as names."""
    pictures = ['pics: a.png', 'pics: pics/a.png', 'pics: x/a.png']
    assert assign(['pics/a.png'], *pictures) == ([0, None, None], [])
    assert assign(['a.png'], *pictures) == ([0, None, None], [])
    assert assign(['pics/pics/a.png', 'a.png'], *pictures) == ([1, 0, None], [])


@pytest.mark.parametrize(
    'pictures',
    [
        ('x/a.png', 'y/a.png'),
        ('pics: x/a.png', 'pics: y/a.png'),
        ('x: a.png', 'y: a.png'),
        ('pics: x/a.png', 'y/a.png'),
    ],
)
def test_ambiguous_names(pictures):
    first, second = (picture.replace(': ', '/') for picture in pictures)
    with pytest.raises(UserError, match=rf"line 1: 'a.png' may be {first} or {second}; write"):
        assign(['b.png', 'a.png'], 'b.png', *pictures)
    names = [first, second]
    assert assign(names, *pictures) == ([0, 1], [])


def test_a_picture_given_twice_is_not_ambiguous():
    assert assign(['a.png'], 'x/a.png', './x/a.png', 'x: a.png') == ([0, 0, 0], [])


def test_different_labels_for_one_picture():
    with pytest.raises(UserError, match=r'lines 0 and 2 give different labels to x/a\.png'):
        assign(['a.png', 'b.png', 'x/a.png'], 'x: a.png', 'b.png')
    lines = [picture_labels.Line(number, 'a.png', 1) for number in (1, 2)]  # the same: no matter
    found = [Found(pathlib.Path('a.png'), None)]
    assert picture_labels.assign(lines, found, 'labels.csv') == ([1], [])
