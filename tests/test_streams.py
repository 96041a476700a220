"""What is printed, and what C libraries print."""

import io
import os
import pathlib
import subprocess
import sys

import pytest

import runs
from chainer_cifar import streams


@pytest.mark.parametrize(
    ('text', 'printed'),
    [
        ('猫 ä ☃.png', '猫 ä ☃.png'),
        ('a\nb\r\x1b[31m\0\x85', r'a\nb\r\x1b[31m\x00\x85'),
        ('a\u2028b\u2029', r'a\u2028b\u2029'),
        ('\u3000', '\u3000'),  # a space of Japanese
        ('\u202egnp.exe', r'\u202egnp.exe'),  # which would look like exe.png
        ('a\u2066b\u2069', r'a\u2066b\u2069'),
        ('שלום 👩‍🌾.png', 'שלום 👩‍🌾.png'),
        ('a\udcff.png', 'a\ufffd.png'),  # no UTF-8
        ('\udce7\udc8c\udcab', '猫'),  # as the C locale has it
        ('\ud83d', '\ufffd'),  # no byte either
        (pathlib.Path('a', 'b'), 'a/b'),
    ],
)
def test_printable(text, printed):
    assert streams.printable(text) == printed


def test_lines_are_told_one_by_one(capsys):
    streams.tell('one', 'two\nthree')
    assert capsys.readouterr().err == 'one\ntwo\\nthree\n'


def test_nobody_reads_what_is_told(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, 'w') as file:
        monkeypatch.setattr(sys, 'stderr', file)
        streams.tell('one')
        streams.tell('two')


def test_silence(capfd):
    os.write(2, b'before ')
    with streams.silence():
        os.write(2, b'inside ')
    os.write(2, b'after')
    assert capfd.readouterr().err == 'before after'


def test_what_python_writes_is_kept_while_another_thread_is_silent():
    program = """
import os, sys, threading
from chainer_cifar import streams
silent, told = threading.Event(), threading.Event()
def decode():
    with streams.silence():
        silent.set()
        told.wait(30)
        os.write(2, b'libtiff: odd')
with streams.apart():
    thread = threading.Thread(target=decode)
    thread.start()
    silent.wait(30)
    print('kept', file=sys.stderr)
    told.set()
    thread.join()
print('after', file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, env=runs.environment()
    )
    assert done.stderr == 'kept\nafter\n'


def test_bars_go_to_a_terminal_or_a_notebook(monkeypatch):
    class OutStream(io.StringIO):
        def isatty(self):
            return True

    terminal = OutStream()
    with streams.progress_bar('x', 3, console=terminal) as bar:
        assert not bar.disable
    assert 'x:   0%' in terminal.getvalue()
    with streams.progress_bar('x', 3, console=io.StringIO()) as bar:
        assert bar.disable

    OutStream.__module__ = 'ipykernel.iostream'
    monkeypatch.setattr(sys, 'stdout', notebook := OutStream())
    streams.progress_bar('x', 3, console=io.StringIO()).close()
    assert 'x:   0%' in notebook.getvalue()
