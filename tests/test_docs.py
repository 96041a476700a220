"""The documents: links lead somewhere, commands can be typed as they stand, examples run."""

import argparse
import functools
import importlib.util
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys
from unittest import mock

import pytest

from chainer_cifar import arguments, cli
from chainer_cifar.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    ROOT / 'CHANGELOG.md',
    *sorted((ROOT / 'docs').glob('*.md')),
]
FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.DOTALL | re.MULTILINE)
INLINE = re.compile(r'`([^`\n]+)`')
# How a command within a sentence or a table begins.
COMMAND = re.compile(r'(python|make|chainer-cifar|\w+\.py) [^…]+$')
LINK = re.compile(r'\]\(([^)\s]+)\)')
# Commands that are not ours; nothing of them is checked.
FOREIGN = {
    *('.', 'curl', 'echo', 'export', 'git', 'mpirun', 'npm', 'pip', 'pre-commit', 'sbatch', 'srun')
}


def read(page):
    return page.read_text(encoding='utf-8')


def name_of(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    """The fenced blocks in this language."""
    return [body for found, body in FENCE.findall(read(page)) if found == language]


def prose(page):
    return FENCE.sub('', read(page))


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', prose(page), re.MULTILINE)
    return [re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings]


@functools.cache
def commands(page):
    """Every command of a page, split into words, the environment's variables before it left out."""
    lines, found = [], []
    for block in blocks(page, 'sh'):
        lines += block.replace('\\\n', ' ').splitlines()
    for code in INLINE.findall(prose(page)):
        if COMMAND.match(code):
            lines.append(code.replace(r'\|', '|'))  # a table escapes bars
    for line in lines:
        words = shlex.shlex(line, posix=True, punctuation_chars='|&;>')
        words.whitespace_split = True
        command = []
        for word in [*words, ';']:
            if set(word) <= set('|&;'):
                if command:
                    found.append(command)
                command = []
            elif command or not re.match(r'\w+=', word):
                command.append(word)
    return found


def cases(kind):
    """The commands of one kind, for parametrize."""
    return [
        pytest.param(command, id=f'{name_of(page)}: {shlex.join(command)}')
        for page in PAGES
        for command in commands(page)
        if kind_of(command) == kind
    ]


def kind_of(command):
    """``ours`` (a command), ``program`` (another of ours), ``module``, ``make`` or ``foreign``."""
    first, second = (command[0], *command[1:2], '')[:2]
    if first in FOREIGN:
        return 'foreign'
    if first == 'make':
        return 'make'
    if split_ours(command):
        return 'ours'
    if re.search(r'python3?$', first):
        return 'program' if second.startswith(('benchmarks/', 'tests/')) else 'module'
    return 'unknown'


def split_ours(command):
    """The name of one of the commands and its arguments, or None."""
    words = [*command]
    if '>' in words:  # the rest is a file
        words = words[: words.index('>')]
    if re.search(r'python3?$', words[0]):
        words = words[1:]
        if words[:2] == ['-m', 'chainer_cifar']:
            words = ['chainer-cifar', *words[2:]]
    if words[0] == 'chainer-cifar' and words[1:] and words[1] in cli.COMMANDS:
        return words[1], words[2:]
    found = re.fullmatch(r'(?:src/)?(\w+)\.py', words[0])
    if found and found[1] in cli.COMMANDS:
        return found[1], words[1:]
    return None


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder as the working directory, with the files of flags that the pages write."""
    monkeypatch.chdir(tmp_path)
    for page in PAGES:
        for command in commands(page):
            if command[0] == 'echo':
                text, redirection, name = command[1:]
                assert redirection == '>'
                (tmp_path / name).write_text(text, encoding='utf-8')


class Parsed(Exception):
    """Ends a command when its arguments are parsed."""


def stop_after(parser_class):
    """While entered, a command ends with `Parsed` as soon as its parser accepted the arguments."""
    parse_args = parser_class.parse_args

    def parse(self, args=None):
        raise Parsed(parse_args(self, args))

    return mock.patch.object(parser_class, 'parse_args', parse)


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_links_and_their_anchors_exist(page):
    text = INLINE.sub('', prose(page))
    for target in LINK.findall(text):
        if re.match(r'https?:', target):
            continue
        path, _, anchor = target.partition('#')
        other = page.parent / path if path else page
        assert other.exists(), target
        if anchor:
            assert anchor in anchors(other), target


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_files_that_the_text_names_exist(page):
    for code in INLINE.findall(prose(page)):
        if re.fullmatch(r'(src|tests|benchmarks)/[\w./]*', code):
            assert (ROOT / code).exists(), code


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_every_block_says_its_language(page):
    # What has another one, or none, would be checked by no test.
    assert read(page).count('```') == 2 * len(FENCE.findall(read(page)))
    assert {language for language, _ in FENCE.findall(read(page))} <= {'sh', 'python', 'text'}


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_every_command_is_of_a_known_kind(page):
    assert [shlex.join(words) for words in commands(page) if kind_of(words) == 'unknown'] == []


@pytest.mark.parametrize('command', cases('ours'))
def test_our_commands_parse(command, folder):
    name, argv = split_ours(command)
    if '--help' in argv:
        with pytest.raises(SystemExit) as stopped:
            cli.run(name, argv, name)
        assert stopped.value.code == 0
        return
    with stop_after(arguments.ArgumentParser), pytest.raises(Parsed):
        cli.run(name, argv, name)


@pytest.mark.parametrize('command', cases('ours'))
def test_training_has_all_it_needs_but_the_data(command, folder, capsys):
    name, argv = split_ours(command)
    if name != 'train' or {'--help', '--list_models', '--list_recipes'} & set(argv):
        return
    assert cli.run(name, argv, name) == 2
    # Every flag was accepted: the first complaint is of a file that an empty folder lacks, or of
    # the GPU.
    assert re.search(
        r'error: (seed \d+: )?((dataset|models|results)\b|--?g(pu)? 0:)', capsys.readouterr().err
    )


@pytest.mark.parametrize('command', cases('program'))
def test_programs_parse(command, monkeypatch):
    path = ROOT / command[1]  # a file, or a folder with a __main__.py
    if path.is_file() and 'argparse' not in read(path):
        assert len(command) == 2
        return
    monkeypatch.setattr(sys, 'argv', command[1:])
    monkeypatch.setattr(sys, 'path', [str(path.parent), *sys.path])
    with stop_after(argparse.ArgumentParser), pytest.raises(Parsed):
        runpy.run_path(str(path), run_name='__main__')


@pytest.mark.parametrize('command', cases('module'))
def test_modules_exist(command):
    assert command[1] == '-m'
    assert importlib.util.find_spec(command[2])


@pytest.mark.parametrize('command', cases('make'))
def test_targets_of_make_exist(command):
    targets = re.findall(r'^([a-z0-9-]+):', read(ROOT / 'Makefile'), re.MULTILINE)
    assert len(command) == 2
    assert command[1] in targets


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_extras_that_pip_is_asked_for_exist(page):
    found = re.findall(r"'\.\[([\w,]+)\]'", read(page))
    for extra in ','.join(found).split(',') if found else []:
        assert re.search(rf"^ +'{extra}': \[", read(ROOT / 'setup.py'), re.MULTILINE), extra


@pytest.mark.parametrize(
    'argv', [['--no_such_flag'], ['-m'], ['--iter', 'many']], ids=lambda argv: argv[0]
)
def test_a_wrong_command_would_be_found(argv, folder):
    # Asked of the parser itself, since `cli.run` tells errors by an exit status.
    with stop_after(arguments.ArgumentParser):
        assert cli.run('train', argv, 'train') == 2
    with pytest.raises(UserError):
        arguments.ArgumentParser().parse_args(['--no_such_flag'])


EXAMPLES = [
    pytest.param(page, code, id=f'{name_of(page)}-{number}')
    for page in PAGES
    for number, code in enumerate(blocks(page, 'python'))
]


@pytest.mark.parametrize(('page', 'code'), EXAMPLES)
def test_python_examples_run(page, code, tmp_path):
    if page.name == 'adding.md':
        code = f'import chainer_cifar\n{code}' + (
            '\nimport numpy as np\n'
            "net = chainer_cifar.nets.create('mynet', shape=(1, 20, 24), res_depth=4)\n"
            "assert net(np.zeros((2, 1, 20, 24), 'f')).shape == (2, 10)\n"
        )
    environment = {**os.environ, 'PYTHONPATH': str(ROOT / 'src')}
    subprocess.run([sys.executable, '-c', code], cwd=tmp_path, env=environment, check=True)


def test_the_readme_is_one_page():
    assert len(read(ROOT / 'README.md').splitlines()) <= 150


def test_the_site_shows_every_page():
    shown = re.findall(r': (\w+\.md)$', read(ROOT / 'mkdocs.yml'), re.MULTILINE)
    assert sorted(shown) == [page.name for page in PAGES if page.parent == ROOT / 'docs']


@pytest.mark.parametrize('path', [ROOT / 'README.md', ROOT / 'docs' / 'results.md'], ids=str)
def test_results_state_their_pictures(path):
    """What a table says of JPEG is explained on the page."""
    explained = 'stored as JPEG' in prose(path).replace('\n', ' ').replace('> ', '')
    assert explained or 'JPEG' not in read(path)


def test_the_hook_runs_what_make_lint_runs():
    entries = re.findall(r'entry: (.+)', read(ROOT / '.pre-commit-config.yaml'))
    assert entries == ['make lint']
