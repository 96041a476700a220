"""How the kernels reach users: the choice of a compiler, and what is in sdist and wheel."""

import ctypes
import importlib.util
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile

import pytest

from chainer_onednn.kernels import compile

ROOT = pathlib.Path(__file__).parent.parent
ALL = {'avx2.so', 'avx512.so'}

# Writes what it was given after -o; `fails` instead, for one of the libraries.
COMPILER = """\
#!/bin/sh
while [ "$1" != -o ]; do shift; done
case "$2" in
    *{fails}) echo 'warning: old'; printf 'kernels.c:1: error: no\\nerror: more\\n' >&2; exit 1;;
esac
echo library > "$2"
"""


@pytest.fixture
def path(tmp_path, monkeypatch):
    """An empty folder that is the whole PATH; no other compiler can be had."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    monkeypatch.setenv('PATH', str(folder))
    for name in ('CC', compile.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    monkeypatch.setattr(compile, 'suitable', lambda: True)
    monkeypatch.setattr(compile, 'fetch', unreachable)
    return folder


@pytest.fixture
def target(tmp_path):
    """Where to put libraries; there is one already."""
    folder = tmp_path / 'kernels'
    folder.mkdir()
    (folder / 'avx2.so').write_text('old')
    return folder


def unreachable(folder):
    raise compile.Failed('pip: no network')


def write_compiler(file, fails='nothing'):
    file.write_text(COMPILER.format(fails=fails))
    file.chmod(0o755)


def names(folder):
    return {file.name for file in folder.iterdir()}


def test_no_compiler(path, target):
    assert compile.compilers() == []
    with pytest.raises(compile.Failed, match=r'^pip: no network$'):
        compile.build(target)
    assert names(target) == {'avx2.so'} and (target / 'avx2.so').read_text() == 'old'


def test_the_order_of_compilers(path, monkeypatch):
    for name in ('clang', 'gcc', 'mine'):
        write_compiler(path / name)
    assert compile.compilers() == [['gcc'], ['clang']]
    monkeypatch.setenv('CC', 'mine -m64')
    assert compile.compilers() == [['mine', '-m64'], ['gcc'], ['clang']]
    for other in ('absent', '/absent/cc', '"', ' '):
        monkeypatch.setenv('CC', other)
        assert compile.compilers() == [['gcc'], ['clang']]
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: name == 'ziglang')
    assert compile.compilers()[-1] == [sys.executable, '-m', 'ziglang', 'cc']


def test_the_first_compiler_that_can(path, target, monkeypatch):
    write_compiler(path / 'gcc')
    for name in ('CC', 'cc'):
        write_compiler(path / name, fails='avx512.so')
    monkeypatch.setenv('CC', str(path / 'CC'))
    assert compile.build(target) == ('gcc', '')
    assert names(target) == ALL and (target / 'avx2.so').read_text() == 'library\n'


@pytest.mark.parametrize('fails', ['avx2.so', 'avx512.so', '.so'])
def test_a_compiler_that_fails_leaves_nothing(path, target, fails):
    write_compiler(path / 'cc', fails)
    with pytest.raises(compile.Failed) as raised:
        compile.build(target)
    assert str(raised.value) == 'cc: kernels.c:1: error: no; pip: no network'
    assert names(target) == {'avx2.so'} and (target / 'avx2.so').read_text() == 'old'


@pytest.mark.parametrize('content', ['#!/bin/sh\n', '#!/absent\n', 'neither script nor program'])
def test_what_is_no_compiler(path, target, content):
    (path / 'cc').write_text(content)
    (path / 'cc').chmod(0o755)
    with pytest.raises(compile.Failed) as raised:
        compile.build(target)
    assert str(raised.value).startswith('cc') and '\n' not in str(raised.value)
    assert names(target) == {'avx2.so'}


def test_the_fetched_compiler_is_the_last(path, target, monkeypatch):
    def fetch(folder):
        write_compiler(pathlib.Path(folder, 'zig'))
        return [str(pathlib.Path(folder, 'zig')), 'cc']

    monkeypatch.setattr(compile, 'fetch', fetch)
    assert compile.build(target) == ('zig cc', '')
    write_compiler(path / 'cc', fails='.so')
    assert compile.build(target) == ('zig cc', '')
    write_compiler(path / 'cc')
    assert compile.build(target) == ('cc', '')


def test_not_wanted_and_not_suitable(path, target, monkeypatch):
    write_compiler(path / 'cc')
    monkeypatch.setattr(compile, 'suitable', lambda: False)
    with pytest.raises(compile.Failed, match=r'is not Linux on x86-64$'):
        compile.build(target)
    monkeypatch.setattr(compile, 'suitable', lambda: True)
    monkeypatch.setenv(compile.VARIABLE, '0')
    with pytest.raises(compile.Failed, match=r'^CHAINER_ONEDNN_KERNELS=0$'):
        compile.build(target)
    assert names(target) == {'avx2.so'}


def test_only_zig_is_told_the_target():
    for zig in (['/folder/zig', 'cc'], ['python', '-m', 'ziglang', 'cc']):
        assert '-target' in compile.command(zig, 'avx2.so', 'x')
    for library in compile.LIBRARIES:
        line = compile.command(['gcc'], library, 'x')
        assert '-target' not in line and not any('-march' in word for word in line)


def test_the_version_is_of_the_sources(tmp_path, monkeypatch):
    shutil.copytree(compile.FOLDER, tmp_path / 'kernels', ignore=shutil.ignore_patterns('*.so'))
    before = compile.version()
    monkeypatch.setattr(compile, 'FOLDER', tmp_path / 'kernels')
    assert compile.version() == before
    (tmp_path / 'kernels/common.h').write_text('')
    assert compile.version() != before


def test_compile_and_load(tmp_path, monkeypatch):
    if not compile.suitable() or not shutil.which('cc'):
        pytest.skip('no compiler')
    monkeypatch.setattr(compile, 'FLAGS', ['-O1', *compile.FLAGS[1:]])  # in half the time
    compile.compile_all(['cc'], tmp_path)
    assert names(tmp_path) == ALL
    for name in ALL:
        library = ctypes.CDLL(str(tmp_path / name))
        library.kernels_version.restype = ctypes.c_char_p
        assert library.kernels_version().decode() == compile.version()


def offline(monkeypatch, folder):
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    monkeypatch.setenv('PIP_FIND_LINKS', str(folder))
    monkeypatch.setenv('PIP_CONFIG_FILE', os.devnull)
    # What an installation may have set for itself
    monkeypatch.setenv('PIP_CONSTRAINT', 'absent.txt')
    monkeypatch.setenv('PIP_PREFIX', str(folder / 'prefix'))
    monkeypatch.setenv('PYTHONPATH', str(folder))


def test_fetch(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / 'ziglang-0.16.0-py3-none-any.whl', 'w') as wheel:
        program = zipfile.ZipInfo('ziglang/zig')
        program.external_attr = (stat.S_IFREG | 0o755) << 16
        wheel.writestr(program, COMPILER.format(fails='nothing'))
        info = 'ziglang-0.16.0.dist-info/'
        wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\nName: ziglang\nVersion: 0.16.0\n')
        wheel.writestr(
            info + 'WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
        )
        wheel.writestr(info + 'RECORD', '')
    offline(monkeypatch, tmp_path)
    (tmp_path / 'scratch').mkdir()
    compiler = compile.fetch(tmp_path / 'scratch')
    assert compile.named(compiler) == 'zig cc'
    (tmp_path / 'kernels').mkdir()
    compile.compile_all(compiler, tmp_path / 'kernels')
    assert names(tmp_path / 'kernels') == ALL


def test_fetch_from_nowhere(tmp_path, monkeypatch):
    offline(monkeypatch, tmp_path)
    with pytest.raises(compile.Failed, match='ziglang') as raised:
        compile.fetch(tmp_path)
    assert '\n' not in str(raised.value)


def build(source, call, **environment):
    """Call setuptools as pip does, in a process of its own; return what it says."""
    program = f'from setuptools import build_meta; build_meta.{call}'
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=source,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_sdist_and_wheel(tmp_path, path):
    if not compile.suitable():
        pytest.skip('not for this machine')
    pytest.importorskip('setuptools.command.bdist_wheel')
    source = tmp_path / 'source'
    source.mkdir()
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    shutil.copytree(ROOT / 'src', source / 'src', ignore=shutil.ignore_patterns('*.egg-info'))
    for name in ALL:  # as an editable installation leaves them
        (source / 'src/chainer_onednn/kernels' / name).write_text('of this machine')
    write_compiler(path / 'mine')
    compiler = {'CC': str(path / 'mine'), 'PATH': os.defpath}
    build(source, "build_sdist('.')", **compiler)
    assert 'kernels: compiled by mine\n' in build(source, "build_wheel('with')", **compiler)
    told = build(source, "build_wheel('without')", **compiler, CHAINER_ONEDNN_KERNELS='0')
    assert told.count('warning: kernels: none') == 1
    sdist = next(source.glob('*.tar.gz'))
    kernels = {*compile.SOURCES, *compile.HEADERS, 'compile.py', '__init__.py'}
    with tarfile.open(sdist) as tar:
        found = [file.name.split('/', 1)[1] for file in tar.getmembers() if file.isfile()]
    assert in_kernels(found, 'src/') == kernels and 'build-constraints.txt' in found
    page = {f'chainer_cifar/pages/{name}' for name in ('page.html', 'style.css', 'charts.js')}
    assert {f'src/{name}' for name in page} <= set(found)
    for folder, libraries in (('with', ALL), ('without', set())):
        (wheel,) = (source / folder).iterdir()
        assert wheel.name.endswith('-py3-none-linux_x86_64.whl')
        with zipfile.ZipFile(wheel) as archive:
            assert in_kernels(archive.namelist()) == kernels | libraries
            assert page | {'chainer_compat/__init__.py'} <= set(archive.namelist())
            for name in libraries:
                assert archive.read(f'chainer_onednn/kernels/{name}') == b'library\n'


def in_kernels(files, before=''):
    folder = f'{before}chainer_onednn/kernels/'
    return {file.removeprefix(folder) for file in files if file.startswith(folder)}
