"""src/summary.py as a user runs it."""

import numpy as np
import pytest

from chainer_cifar import nets


def test_simple(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command('summary', '-m', 'simple')
    assert status == 0 and err == '' and list(tmp_path.iterdir()) == []
    lines = [line.split() for line in out.splitlines()]
    assert ['conv2d_1', 'Convolution2D', '(N,', '30,', '28,', '28)', '2,280', '1,764,000'] in lines
    assert ['MaxPooling2D', '(N,', '30,', '14,', '14)'] in lines
    assert ['dense_1', 'Linear', '(N,', '100)', '588,100', '588,000'] in lines
    assert ['parameters', '591,390'] in lines and ['trainable', '591,390'] in lines
    assert ['non-trainable', '0'] in lines and '2,353,000' in out


def test_help_tells_no_defaults_of_training(command, capsys):
    with pytest.raises(SystemExit):
        command('summary', '--help')
    told = ' '.join(capsys.readouterr().out.split())
    assert 'default: vgg' not in told and '.pkl)' not in told
    assert '(default: 18)' in told


def test_options_and_depth(command):
    _, out, _ = command('summary', '-m', 'resnet164', '--res_depth', 2, '--n_class', 100)
    count = nets.create('resnet164', 100, res_depth=2).count_params()
    assert f'trainable      {count:,}' in out and 'units/5/bn3' in out
    _, short, _ = command(
        'summary', '-m', 'resnet164', '--res_depth', 2, '--n_class', 100, '--depth', 1
    )
    assert 'units ' in short and 'units/' not in short and '--depth 3' in short
    totals = [line for line in out.splitlines() if line.startswith(('param', 'multi', 'non'))]
    assert len(totals) == 3 and all(line in short for line in totals)


def test_a_run(in_run, command):
    status, out, _ = command('summary', 'models/run')
    count = nets.create('residual', 10, res_depth=1).count_params()
    assert status == 0 and f'trainable      {count:,}' in out
    assert command('summary', 'models/run/epoch-0001.npz')[1] == out


def test_size_and_grey(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = command('summary', '-m', 'simple', '--size', '64x48', '--grey')
    lines = [line.split() for line in out.splitlines()]
    assert status == 0 and ['MaxPooling2D', '(N,', '30,', '22,', '30)'] in lines
    conv = ['conv2d_1', 'Convolution2D', '(N,', '30,', '44,', '60)', '780', '1,980,000']
    assert conv in lines
    assert command('summary', '-m', 'vgg_no_fc', '--size', 96)[1] != out
    folder = tmp_path / 'image_raw'
    folder.mkdir()
    for part in ('train', 'test'):
        np.save(folder / f'{part}.npy', np.zeros((2, 1, 48, 64), np.uint8))
    assert command('summary', '-m', 'simple', '-d', folder)[1] == out


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        ([], '-m'),
        (['-m', 'simpel'], "did you mean 'simple'?"),
        (['-m', 'simple', '--res_depth', '3'], "no meaning for net 'simple'"),
        (['-m', 'residual', '--res_depth', '0'], '--res_depth 0'),
        (['-m', 'simple', '--n_class', '0'], '--n_class 0'),
        (['-m', 'simple', '--depth', '0'], '--depth 0'),
        (['models/run', '-m', 'simple'], '--model'),
        (['models/run', '--n_class', '5'], '--n_class'),
        (['models/run', '--size', '64'], '--size: models/run says'),
        (['models/run', '--grey'], '--grey: models/run says'),
        (
            ['-m', 'simple', '--size', '64x'],
            '--size 64x: must be a number of pixels from 1 to 2048',
        ),
        (['-m', 'simple', '--size', '9999'], '--size 9999: must be'),
        (['-m', 'conv10', '--size', '28'], '--model conv10: needs 31x31 pixels or more, not 28x28'),
        (['-m', 'vgg16', '--size', '96', '--upscale', '64'], '--upscale 64: the images are 96 '),
        (['-m', 'simple', '-d', 'dataset/none', '--grey'], '--grey: dataset/none says'),
        (['-m', 'simple', '-d', 'dataset/none'], 'dataset/none: no such file'),
        (['models/none'], 'models/none'),
    ],
)
def test_mistakes(in_run, refused, arguments, word):
    assert word in refused('summary', *arguments)
