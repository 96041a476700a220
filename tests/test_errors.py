import sys

import pytest

from chainer_cifar.errors import command_line, first_line


def test_commands_are_named_as_they_were_called(monkeypatch, tmp_path):
    for name in ('train.py', 'dataset.py'):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, 'argv', [str(tmp_path / 'train.py')])
    assert command_line('dataset --only mean') == f'python {tmp_path}/dataset.py --only mean'
    assert command_line('dataset') == f'python {tmp_path}/dataset.py'
    assert command_line('train -p x') == f'python {tmp_path}/train.py -p x'
    # In a form that a shell takes.
    (tmp_path / 'my code').mkdir()
    (tmp_path / 'train.py').rename(tmp_path / 'my code' / 'train.py')
    monkeypatch.setattr(sys, 'argv', [str(tmp_path / 'my code' / 'train.py')])
    assert command_line('train') == f"python '{tmp_path}/my code/train.py'"
    for program in ('/usr/bin/chainer-cifar', str(tmp_path / 'package' / '__main__.py'), '-c', ''):
        monkeypatch.setattr(sys, 'argv', [program])
        assert command_line('dataset --only mean') == 'chainer-cifar dataset --only mean'


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('no such file'), 'no such file'),
        (RuntimeError('\nat node 3:\n  it has no type'), 'at node 3:'),
        (MemoryError(), 'MemoryError'),
        (ValueError(' \n'), 'ValueError'),
    ],
)
def test_an_error_of_many_lines_is_told_in_one(error, line):
    assert first_line(error) == line
