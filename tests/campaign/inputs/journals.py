"""The journal of a search, each line of which is JSON."""

import json
import pathlib
import random

from campaign.inputs import json_files, odd, raw_bytes
from campaign.inputs.world import SEARCH
from campaign.sandbox import Trial, put

JOURNAL = 'results/found/journal.jsonl'


def make(rng: random.Random) -> Trial:
    path = pathlib.Path(JOURNAL)
    how, changed = _change(rng, path.read_bytes())
    put(path, changed)
    # The second goes on with it, which takes a second.
    trials = '2' if rng.random() < 0.9 else '3'
    return Trial(f'journal: {how}', (*SEARCH, '--trials', trials))


def _change(rng: random.Random, data: bytes) -> tuple[str, bytes]:
    if rng.random() < 0.1:
        return raw_bytes.damage(rng, data)
    lines, told = data.splitlines(keepends=True), []
    known = set(lines)  # which are JSON
    for _ in range(rng.choice([1, 1, 2, 3])):
        way, place = rng.choice(('change', 'change', 'change', 'gone', 'twice', 'moved', 'new')), 0
        if lines:
            place = rng.randrange(len(lines))
            if way == 'change':
                change = json_files.change if lines[place] in known else raw_bytes.damage
                way, changed = change(rng, lines[place])
                lines[place] = changed.rstrip(b'\n') + b'\n'
            elif way in ('gone', 'moved'):
                line = lines.pop(place)
                if way == 'moved':
                    lines.insert(rng.randrange(len(lines) + 1), line)
            elif way == 'twice':
                lines.insert(rng.randrange(len(lines) + 1), lines[place])
        if way == 'new':
            lines.insert(place, _line(rng))
        told.append(f'line {place + 1}: {way}')
    return ', '.join(told), b''.join(lines)


def _line(rng: random.Random) -> bytes:
    """A change that Optuna may know, with odd values."""
    content = {'op_code': rng.randrange(-1, 13), 'worker_id': odd.value(rng)}
    names = ('study_id', 'trial_id', 'study_name', 'state', 'values', 'param_name', 'step', 'value')
    for name in rng.sample(names, 4):
        content[name] = rng.choice([0, 1, odd.value(rng)])
    return json.dumps(content).encode('utf-8', 'surrogatepass') + b'\n'
