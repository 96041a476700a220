"""SECURITY.md says which calls are not made, and where; here the source is asked."""

import ast
import pathlib

import pytest

SRC = pathlib.Path(__file__).parents[1] / 'src'
FILES = sorted(path.relative_to(SRC).as_posix() for path in SRC.rglob('*.py'))

# What runs code that is in data, or starts another program.
FORBIDDEN = {
    *('eval', 'exec', 'compile', '__import__', 'os.system', 'os.popen', 'runpy.run_path'),
    *('pickle.load', 'pickle.loads', 'pickle.Unpickler', 'marshal.load', 'marshal.loads'),
    *('json.load', 'json.loads'),  # json_file.py catches all that they raise
    *('shelve.open', 'torch.load', 'joblib.load', 'yaml.load', 'yaml.unsafe_load'),
    *('numpy.lib.format.read_array', 'zipfile.ZipFile.extractall', 'tarfile.open'),
    *('subprocess.run', 'subprocess.Popen', 'subprocess.call', 'subprocess.check_output'),
    *('subprocess.check_call', 'os.execv', 'os.execve', 'os.execvp', 'os.spawnv'),
}

# Who may, and why.
ALLOWED = {
    # mpirun, for several processes that train one net.
    ('chainer_cifar/parallel/launch.py', 'subprocess.Popen'),
    ('chainer_cifar/parallel/launch.py', 'subprocess.run'),
    # git, for the commit of this folder that a run was made with.
    ('chainer_cifar/environment.py', 'subprocess.run'),
    ('chainer_cifar/json_file.py', 'json.loads'),
    # What we ourselves write for a process that we start, or that writes for us.
    ('chainer_cifar/cli.py', 'json.loads'),
    ('chainer_onednn/__main__.py', 'json.loads'),
    # The compiler that makes the kernels, and pip, which fetches one.
    ('chainer_onednn/kernels/compile.py', 'subprocess.run'),
    # `python -m chainer_onednn` times itself without kernels.
    ('chainer_onednn/__main__.py', 'subprocess.run'),
}


def calls(path):
    """Yield each call in a file, and the dotted name of its function with imports resolved."""
    yield from calls_in((SRC / path).read_text(encoding='utf-8'))


def calls_in(source):
    tree = ast.parse(source)
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {a.asname or a.name.split('.')[0]: a.asname and a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: f'{node.module}.{a.name}' for a in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, *rest = ast.unparse(node.func).split('.')
            yield node, '.'.join([names.get(first) or first, *rest])


@pytest.mark.parametrize('path', FILES)
def test_no_file_runs_what_is_in_data(path):
    found = {(path, name) for _, name in calls(path) if name in FORBIDDEN}
    assert found <= ALLOWED


@pytest.mark.parametrize('path', FILES)
def test_no_program_is_started_through_a_shell_and_numpy_reads_no_pickles(path):
    for node, name in calls(path):
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        for argument in ('shell', 'allow_pickle'):
            value = given.get(argument)
            assert value is None or (isinstance(value, ast.Constant) and value.value is False)
        if name == 'numpy.load':
            assert 'allow_pickle' in given


def test_the_search_finds_such_calls():
    source = """
import os, pickle as p
from torch import load
os.system('ls')
p.loads(b'')
load('x')
"""
    assert {name for _, name in calls_in(source)} == {'os.system', 'pickle.loads', 'torch.load'}


def test_what_is_allowed_is_used():
    assert {(path, name) for path, _ in ALLOWED for _, name in calls(path)} >= ALLOWED
