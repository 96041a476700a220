"""The house has one direction: a room uses only what stands below it, and there is no circle."""

import ast
import graphlib
import json
import pathlib
import subprocess
import sys

SRC = pathlib.Path(__file__).parents[1] / 'src'

# From the ground up. `small` are the files beside the rooms; `scripts` are src/NAME.py.
ROOMS = (
    *('chainer_compat', 'chainer_onednn', 'chainer_cifar', 'small', 'parallel', 'figures', 'data'),
    *('nets', 'optim', 'recipes', 'config', 'initial', 'runs', 'weights', 'evaluation', 'export'),
    *('pages', 'serving', 'training', 'search', 'commands', 'api', 'cli', '__main__'),
    *('chainer_cifar_command', 'scripts'),
)

# Those beside the package chainer_cifar.
TOP = ('chainer_compat', 'chainer_onednn', 'chainer_cifar_command')

PATHS = {
    '.'.join(path.relative_to(SRC).with_suffix('').parts).removesuffix('.__init__'): path
    for path in SRC.rglob('*.py')
}


def imports(path):
    """The modules of ours that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in PATHS)
        elif isinstance(node, ast.ImportFrom) and node.module in PATHS:
            names = [f'{node.module}.{alias.name}' for alias in node.names]
            yield from (name if name in PATHS else node.module for name in names)


GRAPH = {name: set(imports(path)) for name, path in PATHS.items()}


def room(module):
    package, _, rest = module.partition('.')
    if package != 'chainer_cifar':
        return package if package in TOP else 'scripts'
    inside = rest.partition('.')[0]
    return inside if inside in ROOMS else 'small' if inside else package


def may_use(above, below):
    if 'data' in (above, below) and 'figures' in (above, below):
        return False  # each needs the small files only
    return ROOMS.index(above) >= ROOMS.index(below)


def test_no_import_goes_up():
    assert len(GRAPH) > 100 and GRAPH['train'] == {'chainer_cifar_command'}
    wrong = [
        f'{module} imports {used}'
        for module in GRAPH
        for used in GRAPH[module]
        if not may_use(room(module), room(used))
    ]
    assert not wrong, sorted(wrong)


def test_no_import_goes_in_a_circle():
    graphlib.TopologicalSorter(GRAPH).prepare()  # raises CycleError


def test_commands_begin_without_what_takes_long_to_load():
    # Whoever draws or measures something loads these then: a second or two of every other command.
    heavy = ('matplotlib', 'sklearn', 'scipy.optimize', 'scipy.stats', 'onnx', 'optuna')
    program = f"""
import importlib, json, sys
from chainer_cifar import api, cli
loaded = {{}}
for name in cli.COMMANDS:
    importlib.import_module(f'chainer_cifar.commands.{{name}}')
    loaded[name] = [heavy for heavy in {heavy} if heavy in sys.modules]
print(json.dumps(loaded))
"""
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True, cwd=SRC
    )
    loaded = json.loads(done.stdout)
    assert len(loaded) > 10 and not any(loaded.values()), loaded
