import sys

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


def test_first_line_of_an_error():
    assert first_line(ValueError('\na\nb')) == 'a'
    assert first_line(MemoryError()) == 'MemoryError'
