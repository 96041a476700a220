import subprocess
import sys

import numpy as np
import pytest

import chainer_cifar.commands.summary
from chainer_cifar import cli


def run(*args):
    code = 'from chainer_cifar.cli import main; main()'
    src = str(__import__('pathlib').Path(cli.__file__).parents[1])
    return subprocess.run(
        [sys.executable, '-c', code, *args],
        capture_output=True,
        text=True,
        env={'PYTHONPATH': src, 'PATH': ''},
    )


@pytest.mark.parametrize('args', [(), ('--help',)])
def test_usage_names_every_command(args):
    result = run(*args)
    assert result.returncode == 0
    for command in cli.COMMANDS:
        assert f'  {command} ' in result.stdout


def test_version():
    assert run('--version').stdout.startswith('chainer-cifar ')


def test_out_of_memory_is_one_line(monkeypatch, capsys):
    def main(argv, prog):
        np.empty(2**50)

    monkeypatch.setattr(chainer_cifar.commands.summary, 'main', main)
    assert cli.run('summary', [], 'summary.py') == 2
    error = capsys.readouterr().err
    assert error.startswith('summary.py: error: out of memory') and error.count('\n') == 1


def test_unknown_command():
    result = run('trian')
    assert result.returncode == 2
    assert "no command is called 'trian', did you mean 'train'?" in result.stderr


@pytest.mark.parametrize('command', cli.COMMANDS)
def test_each_command_has_help_and_one_line_errors(command):
    result = run(command, '--help')
    assert result.returncode == 0 and f'usage: chainer-cifar {command}' in result.stdout
    result = run(command, '--no-such-flag')
    assert result.returncode == 2
    assert result.stderr.startswith(f'chainer-cifar {command}: error: no flag is called')
    assert result.stderr.count('\n') == 1
