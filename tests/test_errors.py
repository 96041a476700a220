import sys

from chainer_cifar.errors import as_typed


def test_commands_are_named_as_they_were_called(monkeypatch, tmp_path):
    for name in ('train.py', 'dataset.py'):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, 'argv', [str(tmp_path / 'train.py')])
    assert as_typed('dataset --only mean') == f'python {tmp_path}/dataset.py --only mean'
    assert as_typed('dataset') == f'python {tmp_path}/dataset.py'
    for program in ('/usr/bin/chainer-cifar', str(tmp_path / 'package' / '__main__.py'), '-c', ''):
        monkeypatch.setattr(sys, 'argv', [program])
        assert as_typed('dataset --only mean') == 'chainer-cifar dataset --only mean'
