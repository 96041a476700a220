import contextlib
import functools
import importlib
import io
import pathlib
import re
import subprocess
import sys
import types

import pytest

from chainer_cifar import cli, commands

AS_COMMAND = ['-c', 'from chainer_cifar.cli import main; main()']
AS_MODULE = ['-m', 'chainer_cifar']


def run(*args, entry=AS_COMMAND):
    src = str(pathlib.Path(cli.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *entry, *args],
        capture_output=True,
        text=True,
        env={'PYTHONPATH': src, 'PATH': ''},
    )


def test_a_command_without_a_docstring_is_listed_without_a_line(monkeypatch, tmp_path):
    (tmp_path / 'bare.py').write_text('def main(argv, prog):\n    return 0\n')
    monkeypatch.setattr(commands, '__path__', [str(tmp_path)])
    monkeypatch.setattr(commands, '__file__', str(tmp_path / '__init__.py'))
    assert commands.find() == {'bare': ''}


@functools.cache
def help_of(command):
    """What ``COMMAND --help`` shows, with the exit status 0."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        cli.run(command, ['--help'], f'chainer-cifar {command}')
    assert ended.value.code == 0
    return out.getvalue()


@pytest.mark.parametrize('args', [(), ('--help',)])
def test_usage_names_every_command(args):
    result = run(*args)
    assert result.returncode == 0
    for command in cli.COMMANDS:
        assert f'  {command} ' in result.stdout


def test_a_command_has_help_of_its_own():
    result = run('download', '--help')
    assert (result.returncode, result.stderr) == (0, '')
    assert 'usage: chainer-cifar download' in result.stdout


def test_version():
    assert run('--version').stdout.startswith('chainer-cifar ')


@pytest.mark.parametrize(
    ('entry', 'prog'), [(AS_COMMAND, 'chainer-cifar'), (AS_MODULE, 'python -m chainer_cifar')]
)
def test_each_entry_names_itself(entry, prog):
    assert run(entry=entry).stdout.startswith(f'usage: {prog} COMMAND')
    result = run('trian', entry=entry)
    assert result.returncode == 2
    told = f"{prog}: error: no command is called 'trian', did you mean 'train'?"
    assert result.stderr.startswith(told)
    result = run('download', '--sett', entry=entry)
    assert result.returncode == 2 and result.stderr.startswith(f'{prog} download: error: no flag')


def fail(error, **attributes):
    def main(argv, prog):
        raise error

    return types.SimpleNamespace(main=main, **attributes)


@pytest.mark.parametrize(
    'error',
    [
        MemoryError('64 GB'),
        RuntimeError('CUDNN_STATUS_ALLOC_FAILED: 64 GB'),
        RuntimeError('CURAND_STATUS_ALLOCATION_FAILED: 64 GB'),
        RuntimeError('CUDA_ERROR_OUT_OF_MEMORY: out of memory: 64 GB'),
    ],
)
@pytest.mark.parametrize(
    ('attributes', 'advice'),
    [({}, 'ask for less of it'), ({'TAKES_BATCH_SIZE': True}, 'a smaller --batch_size')],
)
def test_out_of_memory_is_one_line(monkeypatch, capsys, error, attributes, advice):
    monkeypatch.setitem(sys.modules, 'chainer_cifar.commands.some', fail(error, **attributes))
    assert cli.run('some', [], 'some.py') == 2
    message = capsys.readouterr().err
    assert message.startswith('some.py: error: out of memory') and message.count('\n') == 1
    assert '64 GB' in message and advice in message


def test_other_errors_are_not_taken_for_it(monkeypatch):
    error = RuntimeError('cudaErrorLaunchFailure')
    monkeypatch.setitem(sys.modules, 'chainer_cifar.commands.train', fail(error))
    with pytest.raises(RuntimeError, match='LaunchFailure'):
        cli.run('train', [], 'train.py')


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_each_command_is_told_of_and_has_a_script(name):
    assert 20 < len(cli.COMMANDS[name]) < 80
    script = pathlib.Path(cli.__file__).parents[1] / f'{name}.py'
    assert script.read_text().endswith(f"    script('{name}')\n")
    module = importlib.import_module(f'chainer_cifar.commands.{name}')
    takes = '--batch_size' in help_of(name)
    assert getattr(module, 'TAKES_BATCH_SIZE', False) == takes


def test_commands_are_listed_without_chainer():
    program = (
        'import sys; sys.modules["chainer"] = None; from chainer_cifar.cli import main; main()'
    )
    assert '  train ' in run(entry=['-c', program]).stdout


def test_only_train_tells_of_several_gpus():
    for name in cli.COMMANDS:
        told = ' '.join(help_of(name).split())
        assert ('index of the GPU' in told) == ('--gpu' in told), name
        assert ('a process on each' in told) == (name == 'train'), name


@pytest.mark.parametrize('command', ['train', 'search', 'fit'])
def test_help_tells_each_default(command):
    entry = re.compile(r'^  (?:-\w(?: \w+)?, )?--(\w+) ([A-Z]+)\s(.*?)(?=^  -|^\S|\Z)', re.M | re.S)
    untold = {'freeze', 'lr_factors', 'recipe', 'seeds', 'group'}  # none, unless they are given
    if command != 'fit':
        untold.add('init')
    for name, kind, text in entry.findall(help_of(command)):
        if name not in untold:
            assert 'default:' in ' '.join(text.split()), name
            assert kind in ('INT', 'FLOAT', 'STR'), name


@pytest.mark.parametrize('command', cli.COMMANDS)
def test_each_command_has_help_and_one_line_errors(command, capsys):
    assert f'usage: chainer-cifar {command}' in help_of(command)
    assert cli.run(command, ['--no-such-flag'], command) == 2
    error = capsys.readouterr().err
    assert error.startswith(f'{command}: error: no flag is called') and error.count('\n') == 1
