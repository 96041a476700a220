"""Ctrl-C at the very beginning of a command, before its imports are done, is no traceback."""

import signal
import subprocess
import sys

import pytest

import chainer_cifar_command
from chainer_cifar import cli
from runs import SCRIPT, environment

# As `pip` writes it for chainer-cifar.
CONSOLE = 'import re, sys; from chainer_cifar_command import main; sys.exit(main())'
# Interrupts itself when the first of our modules is looked for, and when the command is.
INTERRUPTED = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


def run(program):
    """Run Python in a process that Ctrl-C reaches, though it may be a job in the background."""
    return subprocess.run(
        [sys.executable, '-c', program],
        env={**environment(), 'PYTHONPATH': str(SCRIPT.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize(
    ('entry', 'module'),
    [
        ('script', 'chainer_compat'),
        ('script', 'chainer_cifar.commands.train'),
        ('console', 'numpy'),
        ('console', 'chainer_cifar.cli'),
    ],
)
def test_ctrl_c_while_it_imports(entry, module):
    program = INTERRUPTED.format(name=module)
    if entry == 'script':
        program += 'import runpy; sys.argv = ["train.py", "--list_models"]; '
        program += f'sys.path.insert(0, {str(SCRIPT.parent)!r}); '
        program += f'runpy.run_path({str(SCRIPT)!r}, run_name="__main__")'
    else:
        program += f'sys.argv = ["chainer-cifar", "train", "--list_models"]\n{CONSOLE}'
    done = run(program)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, '', '')


def test_a_command_is_interrupted_by_an_exception_and_ends_at_once_after_it():
    program = (
        'import os, signal, sys, types; import chainer_cifar_command as c\n'
        'c._end_at_once()\n'
        'from chainer_cifar import cli\n'
        'def main(argv, prog):\n'
        '    os.kill(os.getpid(), signal.SIGINT)\n'
        "sys.modules['chainer_cifar.commands.some'] = types.SimpleNamespace(main=main)\n"
        "print(cli.run('some', [], 'some.py'), flush=True)\n"
        'os.kill(os.getpid(), signal.SIGINT)\n'
    )
    done = run(program)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, '130\n')
    assert done.stderr == 'some.py: interrupted\n'


def test_who_calls_it_keeps_the_handler():
    """A notebook that calls `cli.run`, and a job in the background that ignores Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (signal.default_int_handler, signal.SIG_IGN):
            signal.signal(signal.SIGINT, handler)
            assert cli.run('train', ['--list_recipes'], 'train.py') == 0
            assert signal.getsignal(signal.SIGINT) is handler
        chainer_cifar_command._end_at_once()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
