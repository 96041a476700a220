"""src/summary.py as a user runs it."""

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
        (['models/none'], 'models/none'),
    ],
)
def test_mistakes(in_run, refused, arguments, word):
    assert word in refused('summary', *arguments)
