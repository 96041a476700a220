"""JSON of every type at every key, and text that is nearly JSON."""

import json
import pathlib
import random
from collections.abc import Sequence
from typing import Any

from campaign.inputs import odd, raw_bytes
from campaign.inputs.world import TRAIN
from campaign.sandbox import Trial, put

_RESUME = ('train', '--resume', '-p', 'run')
_MORE = (*_RESUME, '--iter', '3')
_QUICKLY = ('--minutes', '0.01', '--init', 'none', '--size', '8', '--name', 'fitted')
FIT = ('fit', 'pictures', *_QUICKLY)
_PREDICT = ('predict', 'models/run', 'pictures/c/00.png')

# Which commands read each file.
READERS: dict[str, tuple[tuple[str, ...], ...]] = {
    'models/run/config.json': (
        _PREDICT,
        ('summary', 'models/run'),
        ('evaluate', 'run', '--limit', '4'),
        ('visualize', 'run', '--only', 'filters'),
        (*TRAIN, '--dry_run', '-d', 'dataset/image_raw.pkl', '--init', 'run'),
    ),
    'results/run/config.json': (('report', 'run'), _RESUME, _MORE, ('compare', 'run')),
    'results/run/log.json': (('report', 'run', 'own'), ('compare', 'run', 'own')),
    'results/run/summary.json': (('report', 'run', 'own'), ('compare', 'run')),
    'results/several/seeds.json': (
        ('report', 'several'),
        ('compare', 'several'),
        ('train', '--resume', '-p', 'several'),
    ),
    'results/several/seed1/config.json': (('report', 'several'), ('compare', 'several')),
    'results/several/seed2/log.json': (('report', 'several'), ('compare', 'several')),
    'results/several/seed2/summary.json': (
        ('report', 'several'),
        ('train', '--resume', '-p', 'several'),
    ),
    'results/folded/seeds.json': (
        ('report', 'folded'),
        ('compare', 'folded'),
        ('train', '--resume', '-p', 'folded'),
    ),
    'results/several/summary.json': (('report', 'several'), ('compare', 'several')),
    'dataset/classes.json': (
        (*TRAIN, '--dry_run', '-d', 'dataset/image_raw.pkl'),
        ('evaluate', 'run', '--limit', '4'),
    ),
    'dataset/own/classes.json': (
        (*TRAIN, '--dry_run', '-d', 'dataset/own/image_raw', '-l', 'dataset/own/label.pkl'),
        ('evaluate', 'own', '--limit', '2'),
    ),
    'models/run/best.temperature.json': (_PREDICT,),
    'dataset/fitted/fit.json': (FIT,),
    'cifar-10-batches-py/.extracted.json': (
        ('download', '--dir', '.', '--url', 'file:///nowhere/x', '--md5', 'skip'),
    ),
}


def reader(rng: random.Random, lines: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Choose a command, mostly the first, which is quick."""
    return lines[0] if rng.random() < 0.8 else rng.choice(lines)


def make(rng: random.Random) -> Trial:
    name = rng.choice(list(READERS))
    if READERS[name][0][0] == 'fit' and rng.random() < 0.8:  # it takes seconds
        name = 'models/run/config.json'
    path = pathlib.Path(name)
    data = path.read_bytes() if path.exists() else b'{"archive": "", "files": {}}'
    how, changed = change(rng, data)
    put(path, changed)
    # fit notes anew what it prepared anew.
    kept = (name,) if name.startswith('dataset') and name != 'dataset/fitted/fit.json' else ()
    return Trial(f'json: {name}: {how}', reader(rng, READERS[name]), kept)


def change(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    """Change JSON; return how, and what it is then."""
    kind = rng.random()
    if kind < 0.12:
        return raw_bytes.damage(rng, data)
    if kind < 0.25:
        return _as_text(rng, data)
    content = json.loads(data)
    how = ''
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        how, content = _somewhere(rng, content)
    return how, odd.dumped(content)


def _places(content: Any, path: tuple = ()) -> list[tuple]:
    """The path of each value."""
    found = [path]
    items: Any = ()
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    for key, value in items:
        found += _places(value, (*path, key))
    return found


def _somewhere(rng: random.Random, content: Any) -> tuple[str, Any]:
    """Change one value, or its key."""
    path = rng.choice(_places(content))
    if not path:
        return 'another whole', odd.value(rng)
    inside = content
    for key in path[:-1]:
        inside = inside[key]
    last, where = path[-1], '/'.join(map(str, path))[:60]
    way = rng.choice(('value', 'value', 'value', 'near', 'near', 'gone', 'new', 'renamed'))
    if way == 'value':
        inside[last] = odd.value(rng)
    elif way == 'near':
        inside[last] = _near(rng, inside[last])
    elif way == 'gone':
        del inside[last]
    elif isinstance(inside, list):
        inside.insert(last, odd.value(rng))
    else:
        value = inside.pop(last) if way == 'renamed' else odd.value(rng)
        inside[rng.choice([odd.text(rng), f'{last}s', str(last).upper()])] = value
    return f'{where}: {way}', content


def _near(rng: random.Random, value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return rng.choice([value + 1, -value, value * 1000, float(value), str(value), [value]])
    if isinstance(value, str):
        return rng.choice([odd.text(rng), value + odd.text(rng), [value], value.upper(), value[1:]])
    if isinstance(value, list):
        return rng.choice([value * 2, value[1:], value[::-1], dict(enumerate(value)), [value]])
    if isinstance(value, dict):
        return rng.choice([list(value), list(value.items()), {**value, odd.text(rng): 1}, [value]])
    return odd.value(rng)


def _as_text(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    text = data.decode()
    depth = rng.choice([100, 900, 5000, 100_000])
    ways = {
        'nested': lambda: '[' * depth + ']' * depth,
        'nested in itself': lambda: text.rstrip()[:-1] + ',"a":' + '[' * depth + ']' * depth + '}',
        'not closed': lambda: '{"a":' * depth,
        'with a comment': lambda: f'// canary\n{text}',
        'with a comma': lambda: text.replace('}', ',}'),
        'with a mark': lambda: f'\ufeff{text}',
        'twice': lambda: text + text,
        'with quotes': lambda: text.replace('"', "'"),
        'with many digits': lambda: text.replace(': 1', f': {"1" * depth}', 1),
        'with NaN': lambda: text.replace(': 1', ': NaN', 1).replace('0.', 'Infinity,0.', 1),
        'with keys twice': lambda: text.replace('{', '{"format": 1, "format": [], "flags": {},', 1),
        'with control characters': lambda: text.replace(' ', '\x1b\x00', 3),
        'of Python': lambda: "__import__('os').system('touch ../outside/ran')",
        'empty': lambda: '',
    }
    name = rng.choice(list(ways))
    if rng.random() < 0.1:
        encoding = rng.choice(['utf-16', 'utf-32', 'utf-8-sig', 'cp500'])
        return f'in {encoding}', text.encode(encoding, 'replace')
    return name, ways[name]().encode()
