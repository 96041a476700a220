"""``fit.py``: what it refuses, in one line, leaving nothing. test_api.py runs it to its end."""

import numpy as np
import pytest
from PIL import Image

from chainer_cifar import cli
from chainer_cifar.commands import fit


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
    ],
)
def test_flags_and_an_empty_folder(refused, tmp_path, flags, reason):
    (tmp_path / 'own').mkdir()
    assert reason in refused('own', *flags)


def test_no_such_folder(refused):
    assert 'none: no such folder of pictures' in refused('none')


def test_one_class_or_one_picture_of_a_class(refused, tmp_path):
    for i in range(9):
        picture(tmp_path / f'own/cat/{i}.png', i)
    assert "only one class, 'cat'" in refused('own')
    picture(tmp_path / 'own/dog/1.png', 99)
    assert 'fewer than two classes have 3 different pictures' in refused('own')


def test_a_leak(refused, tmp_path):
    for part, start in (('train', 0), ('test', 50)):
        for number, name in enumerate(('cat', 'dog')):
            for i in range(6):
                picture(tmp_path / f'own/{part}/{name}/{i}.png', start + 10 * number + i)
    picture(tmp_path / 'own/test/cat/again.png', 3)
    error = refused('own')
    assert '1 pictures are in training and in the test' in error and '--leaks' in error


def test_a_folder_that_a_killed_fit_made_is_no_other_data(tmp_path):
    folder = tmp_path / 'dataset/own'
    assert not fit._holds_something(folder)
    folder.mkdir(parents=True)
    (folder / '.fit.json.abc.tmp').touch()
    assert not fit._holds_something(folder)
    (folder / 'label.pkl').touch()
    assert fit._holds_something(folder) and fit._holds_something(folder / 'label.pkl')
