"""Write the generated tables of the README: nets, recipes, our runs, speed.

    python benchmarks/tables.py             # after a change
    python benchmarks/tables.py --check     # exit status 1 if the README is not up to date
    python benchmarks/tables.py --add results/cnn   # keep that run's numbers in benchmarks/runs

A number in the README thus comes from a run folder, with its command, seed and machine.
"""

import argparse
import json
import pathlib
import re
import shlex
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'src'))

from cpu_training import share  # noqa: E402

from chainer_cifar import device as devices  # noqa: E402
from chainer_cifar import nets  # noqa: E402
from chainer_cifar.config import from_dict  # noqa: E402
from chainer_cifar.recipes import recipes  # noqa: E402

RUNS = ROOT / 'benchmarks' / 'runs'
SPEED = ROOT / 'benchmarks' / 'cpu_training.json'  # of `cpu_training.py --json`


def nets_table():
    yield 'net', 'parameters', 'what it is'
    for name in nets.registry:
        yield f'`{name}`', f'{nets.create(name).count_params():,}', nets.describe(name)


def recipes_table():
    yield 'recipe', 'flags', 'source', 'published test error', 'ours'
    for name, recipe in recipes.items():
        published = f'{recipe.published_error:g} %' if recipe.published_error else '–'
        ours = [f'{run["test_error"]:.2f} %' for run in _runs() if _is_run_of(recipe, run)]
        yield (
            f'`{name}`',
            f'`{recipe.as_flags()}`',
            recipe.source,
            published,
            ', '.join(ours) or 'not run',
        )


def _is_run_of(recipe, run):
    # All flags but those that change no result, or only by chance.
    theirs, ours = (
        {k: v for k, v in vars(from_dict(flags, 'run')).items() if k not in _ANY}
        for flags in (recipe.flags, run['flags'])
    )
    return theirs == ours


_ANY = ('prefix', 'recipe', 'seed', 'gpu', 'cpu_engine', 'deterministic', 'save_iter')


def runs_table():
    yield 'command', 'epochs', 'seed', 'test error', 'lowest', 'images/s', 'machine'
    for run in _runs():
        # Of a resumed run, each machine once: what changed may have been its flags only.
        parts = (run, *run.get('resumed', ()))
        machines = dict.fromkeys(devices.in_words(part['device']) for part in parts)
        yield (
            f'`{shlex.join(["train.py", *run["command"][1:]])}`',
            str(run['epochs']),
            str(run['flags']['seed']),
            f'{run["test_error"]:.2f} % (epoch {run["best_epoch"]})',
            f'{run["lowest_test_error"]:.2f} %',
            f'{run["images_per_second"]:.0f}',
            '; then '.join(machines),
        )


def speed_table():
    contenders = {
        'torch_better': 'PyTorch, the better layout',
        'torch_channels_last': 'PyTorch, channels last',
        'torch': 'PyTorch',
        'keras': 'Keras',
        'chainer': "Chainer's own",
        'onednn_direct': 'ours without Winograd',
        'onednn_eager': 'ours, nothing pending',
    }
    yield 'net', 'images/s', *(f'against {name}' for name in contenders.values()), 'peak memory'
    rows = json.loads(SPEED.read_text(encoding='utf-8'))['nets']
    for row in rows:
        ratios = [
            f'{facts["ratio"]:.2f} ({facts["quartiles"][0]:.2f}–{facts["quartiles"][1]:.2f})'
            if facts
            else '–'
            for facts in map(row.get, contenders)
        ]
        ours, theirs = row['onednn'], row['torch_channels_last']
        yield (
            f'`{row["net"]}`',
            f'{row["batch_size"] / ours["seconds"]:.0f}',
            *ratios,
            f'{ours["peak_mb"]:.0f} MB (PyTorch: {theirs["peak_mb"]:.0f} MB)',
        )
    means = []
    for name in contenders:
        ratios = [row[name]['ratio'] for row in rows if name in row]
        means.append(f'{statistics.geometric_mean(ratios):.2f}' if ratios else '–')
    yield 'geometric mean', '', *means, ''


# Columns of the profile: heading, and how the names of primitives and kernels begin.
_KINDS = {
    'Winograd, forward and data': ('winograd_convolve',),
    'of weights': ('winograd_gradient',),
    'other convolutions': ('convolution', 'first_layer'),
    'normalization': ('bn_',),
    'pooling': ('pooling', 'max_pool'),
    'elementwise': ('add', 'relu', 'multiply', 'binary'),
    'linear': ('linear',),
    'dropout': ('dropout',),
    'optimizer': ('update',),
}


def profile_table():
    yield 'net', *_KINDS, 'Python and the rest', 'convolutions'
    for row in json.loads(SPEED.read_text(encoding='utf-8'))['nets']:
        times = row['onednn']['profile']
        columns = [
            sum(times[name] for name in times if name.startswith(starts))
            for starts in _KINDS.values()
        ]
        total = sum(times.values())
        yield (
            f'`{row["net"]}`',
            *(f'{1000 * seconds:.0f}' for seconds in (*columns, total - sum(columns))),
            f'{share(row["onednn"]):.0%}',
        )


def _runs():
    return [json.loads(path.read_text(encoding='utf-8')) for path in sorted(RUNS.glob('*.json'))]


def add(folder):
    """Keep config.json and summary.json of a finished run, and what is the least of its log."""
    run = {}
    for name in ('config.json', 'summary.json'):
        run |= json.loads((folder / name).read_text(encoding='utf-8'))
    rows = json.loads((folder / 'log.json').read_text(encoding='utf-8'))
    run['lowest_test_error'] = min(row['test_error'] for row in rows)
    run['command'][0] = pathlib.PurePath(run['command'][0]).name  # not where it was
    path = RUNS / f'{folder.name}.json'
    path.write_text(json.dumps(run, indent=1) + '\n', encoding='utf-8')


def markdown(rows):
    header, *rows = rows
    # A bar would end the cell, even inside of code.
    rows = [[cell.replace('|', r'\|') for cell in row] for row in rows]
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


def updated(text):
    """The README with each table between its two marker comments made anew."""
    for name, rows in {
        'nets': nets_table,
        'recipes': recipes_table,
        'runs': runs_table,
        'speed': speed_table,
        'profile': profile_table,
    }.items():
        pattern = rf'(<!-- table: {name} -->\n).*?(<!-- end -->)'
        table = markdown(rows()) + '\n'
        text, n = re.subn(pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL)
        if n != 1:
            raise SystemExit(f"README.md: has {n} places for table '{name}', not one")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing; tell if up to date')
    parser.add_argument('--add', type=pathlib.Path, metavar='FOLDER', help='a run under results/')
    args = parser.parse_args()
    if args.add:
        add(args.add)
    readme = ROOT / 'README.md'
    old = readme.read_text(encoding='utf-8')
    new = updated(old)
    if args.check:
        sys.exit(f'{readme.name}: run benchmarks/tables.py' if new != old else 0)
    readme.write_text(new, encoding='utf-8')


if __name__ == '__main__':
    main()
