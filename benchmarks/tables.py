"""Write the generated tables of README.md and docs/: results, flags, nets, recipes, runs, speed.

    python benchmarks/tables.py             # after a change
    python benchmarks/tables.py --check     # exit status 1 if a page is not up to date
    python benchmarks/tables.py --add results/cnn   # keep that run's numbers in benchmarks/runs

A number in the documents thus comes from a run folder, with its command, seed, machine and data.
A table stands between two comments, <!-- table: NAME --> and <!-- end -->, on one of the pages.
"""

import argparse
import dataclasses
import html
import json
import math
import pathlib
import re
import shlex
import statistics
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'src'))

from cpu_training import NETS, share  # noqa: E402

import parallel  # noqa: E402
from chainer_cifar import device as devices  # noqa: E402
from chainer_cifar import figures, nets  # noqa: E402
from chainer_cifar.arguments import meaning  # noqa: E402
from chainer_cifar.config import GROUPS, TrainConfig, from_dict  # noqa: E402
from chainer_cifar.nets.undrawn import undrawn  # noqa: E402
from chainer_cifar.recipes import recipes  # noqa: E402

RUNS = ROOT / 'benchmarks' / 'runs'
# In benchmarks/, what the program of that name writes with --json.
SPEED = 'cpu_training.json'  # others in _SETTINGS
PROCESSES = 'parallel.json'
NETWORK = 'network.json'
ONNX = 'onnx_int8.json'
CURVES = ROOT / 'docs' / 'images' / 'curves.png'  # of the runs of the experiments
DATA = ROOT / 'benchmarks' / 'data.json'  # which pictures a run's data_checksum stands for


def _read(path):
    return json.loads(path.read_text(encoding='utf-8'))


def _measured(name):
    return _read(ROOT / 'benchmarks' / name)


def headline_table():
    """The best result first; which run it is, the validation images say where there are any."""
    yield 'result', '', 'command'
    on_cifar = [runs for runs in _seeds_of_each() if 'CIFAR-10' in _data(runs[0])['pictures']]
    on_cifar.sort(key=lambda runs: statistics.mean(map(_rank, runs)))
    from_random, from_others = (
        next(runs for runs in on_cifar if bool(runs[0]['flags'].get('init')) is init)
        for init in (False, True)
    )
    for what, runs in (
        ('Test error of our best run', from_random),
        ('Test error of our best run that began with weights of ImageNet', from_others),
        ('Test error of the demonstration', [_run('digits')]),
    ):
        run = runs[0]
        *_, (errors, tta) = _test_errors(runs)
        seconds = statistics.mean(run['seconds'] for run in runs)
        several = len(runs) > 1
        time = f'{_duration(seconds)} {"a seed " if several else ""}on a CPU'
        how = ', '.join(filter(None, (time, tta, f'{len(runs)} seeds' if several else '')))
        yield (
            f'{what}: `{run["flags"]["model"]}`, {run["epochs"]} epochs in {how}; '
            f'{_data(run)["pictures"]}',
            f'**{errors}**',
            _shortest_commands(runs, tta),
        )
    for contender in ('torch_better', 'keras', 'chainer'):
        yield (
            f'Speed of training steps on a CPU, as a multiple of {_CONTENDERS[contender]}',
            f'**{_mean_ratio(contender):.2f}**',
            '`python benchmarks/cpu_training.py`',
        )


def _seeds_of_each():
    """Lists of runs that differ in what `_ANY` names only, such as the seed."""
    found = {}
    for run in _runs():
        key = json.dumps([run['data_checksum'], _deciding(run['flags'])], sort_keys=True)
        found.setdefault(key, []).append(run)
    return found.values()


def _rank(run):
    # Nothing was chosen by the test images of a run that ends when its schedule does.
    return run['best'].get('valid_error', run['test_error'])


def _run(name):
    return _read(RUNS / f'{name}.json')


def _duration(seconds):
    return f'{seconds / 60:.0f} minutes' if seconds >= 90 else f'{seconds:.0f} seconds'


def _shortest_commands(runs, tta):
    """What gives the number of all seeds; `tta` is how the images are seen, as in its row."""
    flags, folder = runs[0]['command'][1:], runs[0]['flags']['prefix']
    for name, recipe in recipes.items():
        if _is_run_of(recipe, runs[0]):
            flags, folder = ['--recipe', name], recipe.flags['prefix']
    folders = [folder]
    if len(runs) > 1:
        seeds = [run['flags']['seed'] for run in runs]
        in_order = seeds == [*range(1, len(seeds) + 1)]
        flags += ['--seeds', str(len(seeds)) if in_order else ','.join(map(str, seeds))]
        folders = [f'{folder}/seed{seed}' for seed in seeds]
    commands = f'`{shlex.join(["python", "src/train.py", *flags])}`'
    if tta:
        first, *others = folders
        commands += f'; `python src/evaluate.py {first} {tta.split("`")[1]}`'
        if others:
            commands += f', and so for {", ".join(f"`{other}`" for other in others)}'
    return commands


def flags_table():
    """Every flag of train.py, group by group; its help text is the one of --help."""
    for group in GROUPS:
        yield f'{group}', 'default', 'meaning'
        for field in dataclasses.fields(TrainConfig):
            short, told = field.metadata['short'], field.metadata['told']
            if field.metadata['group'] == group:
                yield (
                    f'`{short}`, `--{field.name}`' if short else f'`--{field.name}`',
                    '' if told == '' or told is False else f'`{told}`',
                    html.escape(meaning(field, train=True), quote=False).replace('*', r'\*'),
                )
        yield ()


def nets_table():
    yield 'net', 'parameters', 'sizes', 'what it is'
    for name in nets.registry:
        with undrawn():
            count = nets.create(name).count_params()
        yield f'`{name}`', f'{count:,}', _sizes(name, count), nets.describe(name)


def _sizes(name, count):
    least = nets.least_side(name)
    text = f'{least}x{least} and more' if least > 1 else 'any'
    with undrawn():
        twice = nets.create(name, shape=(3, 64, 64)).count_params()
    return text if twice == count else f'{text}; {twice:,} parameters for 64x64'


def recipes_table():
    yield 'recipe', 'flags', 'source', 'published test error'
    for name, recipe in recipes.items():
        published = f'{recipe.published_error:g} %' if recipe.published_error else '–'
        yield f'`{name}`', f'`{recipe.as_flags()}`', recipe.source, published


def experiments_table():
    """Every published number, and what our runs of its recipes gave."""
    yield (
        *('experiment', 'published error', 'our recipe', 'test error', 'validation error'),
        *('epochs', 'minutes', 'images/s', 'seeds', 'pictures', 'machine'),
    )
    groups = _seeds_of_each()
    for name, recipe in recipes.items():
        if recipe.published_error is None:
            continue
        published = f'{recipe.published_error:g} %'
        if recipe.published_time:
            published += f', {recipe.published_time}'
        first = f'`{name}` ({recipe.source.split(" (")[0]})', published
        faster = (n for n, other in recipes.items() if other.faster_than == name)
        rows = [(ours, row) for ours in (name, *faster) for row in _outcomes(recipes[ours], groups)]
        for ours, row in rows or [(name, ('not run', *[''] * 7))]:
            yield (*first, f'`{ours}`', *row)
            first = '', ''


def _outcomes(recipe, groups):
    """One row for the finished runs of a recipe on each data."""
    found = [runs for runs in groups if _is_run_of(recipe, runs[0])]
    for runs in found:
        valid = [run['best'].get('valid_error', math.nan) for run in runs]
        yield (
            '; '.join(' '.join(filter(None, parts)) for parts in _test_errors(runs)),
            '–' if math.isnan(valid[0]) else _spread(valid),
            str(runs[0]['epochs']),
            f'{statistics.mean(run["seconds"] for run in runs) / 60:.0f}',
            f'{statistics.mean(run["images_per_second"] for run in runs):.0f}',
            ', '.join(str(run['flags']['seed']) for run in runs),
            _data(runs[0])['short'],
            '; '.join(dict.fromkeys(_machines(run) for run in runs)),
        )


def _test_errors(runs):
    """Pairs of the test error of all seeds and of how the images were seen: '' is as they are."""
    yield _spread([run['test_error'] for run in runs]), ''
    for tta in runs[0].get('tta_error', ()):
        yield _spread([run['tta_error'][tta] for run in runs]), f'with `--tta {tta}`'


def _spread(errors):
    if len(errors) == 1:
        return f'{errors[0]:.2f} %'
    return f'{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f} %'


def _machines(run):
    # Of a resumed run, each machine once: what changed may have been its flags only.
    parts = (run, *run.get('resumed', ()))
    return '; then '.join(dict.fromkeys(devices.in_words(part['device']) for part in parts))


def _is_run_of(recipe, run):
    return _deciding(recipe.flags) == _deciding(run['flags'])


def _deciding(flags):
    """All flags but those that change no result, or only by chance."""
    return {k: v for k, v in vars(from_dict(flags, 'run')).items() if k not in _ANY}


_ANY = (
    *('prefix', 'recipe', 'seed', 'gpu', 'processes', 'cpu_engine', 'deterministic', 'save_iter'),
    'tensorboard',
)


def runs_table():
    yield 'command', 'pictures', 'epochs', 'seed', 'test error', 'lowest', 'images/s', 'machine'
    for run in _runs():
        yield (
            f'`{shlex.join(["train.py", *run["command"][1:]])}`',
            f'{_data(run)["pictures"]} (`{run["data_checksum"]}`)',
            str(run['epochs']),
            str(run['flags']['seed']),
            f'{run["test_error"]:.2f} % (epoch {run["best_epoch"]})',
            f'{run["lowest_test_error"]:.2f} %',
            f'{run["images_per_second"]:.0f}',
            _machines(run),
        )


_CONTENDERS = {
    'torch_better': 'PyTorch, the better layout',
    'torch_channels_last': 'PyTorch, channels last',
    'torch': 'PyTorch',
    'keras': 'Keras',
    'chainer': "Chainer's own code",
    'onednn_direct': 'ours without Winograd',
    'onednn_eager': 'ours, nothing pending',
}


def speed_table():
    yield 'net', 'images/s', *(f'against {name}' for name in _CONTENDERS.values()), 'peak memory'
    for row in _speeds():
        ours, theirs = row['onednn'], row['torch_channels_last']
        yield (
            f'`{row["net"]}`',
            f'{row["batch_size"] / ours["seconds"]:.0f}',
            *(_ratio(row.get(name)) for name in _CONTENDERS),
            f'{ours["peak_mb"]:.0f} MB (PyTorch: {theirs["peak_mb"]:.0f} MB)',
        )
    means = [f'{_mean_ratio(name):.2f}' for name in _CONTENDERS]
    yield 'geometric mean of the first five', '', *means, ''


def _ratio(facts):
    if not facts:
        return '–'
    low, high = facts['quartiles']
    return f'{facts["ratio"]:.2f} ({low:.2f}–{high:.2f})'


def survives_table():
    """What the campaigns of faults tried, and what held; then seed, machine and date of each."""
    campaigns = list(map(_read, sorted((ROOT / 'benchmarks').glob('campaign*.json'))))
    yield 'part', 'what is done', 'tried', 'held'
    for campaign in campaigns:
        for part, kinds in campaign['parts'].items():
            for count in kinds.values():
                yield part, count['what'], f'{count["tried"]:,}', f'{count["held"]:,}'
    parts = [kinds for campaign in campaigns for kinds in campaign['parts'].values()]
    counts = [count for kinds in parts for count in kinds.values()]
    totals = (sum(count[key] for count in counts) for key in ('tried', 'held'))
    yield '**all**', '', *(f'**{total:,}**' for total in totals)
    yield ()
    yield 'parts', 'seed', 'date', 'minutes', 'machine', 'versions'
    for campaign in campaigns:
        yield (
            ', '.join(campaign['parts']),
            str(campaign['seed']),
            campaign['date'],
            f'{campaign["minutes"]:.0f}',
            campaign['machine'],
            ', '.join(f'{name} {number}' for name, number in campaign['versions'].items()),
        )


_SETTINGS = {
    'two threads': SPEED,
    'one thread': 'cpu_training_one_thread.json',
    'two threads, both held to AVX2': 'cpu_training_avx2.json',
    'evaluation (forward passes, batch of 100)': 'cpu_training_evaluation.json',
}


def settings_table():
    yield '', *(f'`{net}`' for net in NETS), 'geometric mean'
    for setting, name in _SETTINGS.items():
        ratios = [row['torch_better']['ratio'] for row in _speeds(name) if row['net'] in NETS]
        yield setting, *(f'{ratio:.2f}' for ratio in (*ratios, statistics.geometric_mean(ratios)))


def airbench_table():
    """What the same time gives with PyTorch: its steps are timed, its epochs follow from them."""
    (row,) = _speeds('cpu_training_airbench94.json')
    yield 'with', 'images/s', 'epochs in 10 minutes'
    for name, words in (
        ('onednn', 'our CPU engine'),
        ('torch_channels_last', 'PyTorch, channels last'),
        ('torch', 'PyTorch'),
    ):
        rate = row['batch_size'] / row[name]['seconds']
        yield words, f'{rate:.0f}', f'{rate * 600 / 50_000:.1f}'


def _mean_ratio(contender):
    ratios = [row[contender]['ratio'] for row in _speeds() if row['net'] in NETS]
    return statistics.geometric_mean(ratios)


def _speeds(name=SPEED):
    return _measured(name)['nets']


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
    for row in _speeds():
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


def processes_table():
    """Two processes against one with two threads, and what the model makes of more."""
    yield (
        *('net', 'images/s, of those of one process', 'rounds', 'communication'),
        *(f'efficiency of {count} processes, on paper' for count in parallel.SCALES),
    )
    measured = _measured(PROCESSES)
    for net, row in measured['speed'].items():
        ratios = sorted(each['1x2']['seconds'] / each['2x1']['seconds'] for each in row['rounds'])
        yield (
            net,
            f'{row["ratio"]:.2f}',
            f'{len(ratios)}, from {ratios[0]:.2f} to {ratios[-1]:.2f}',
            f'{row["share_of_communication"]:.0%} of a step',
            *(f'{each["efficiency"]:.0%}' for each in measured['scaling'][net].values()),
        )


def network_table():
    """Messages between machines: measured, and what the model says of the network as it was set."""
    yield (
        *('network', 'machines', '16 bytes', 'model', '4 MiB', 'model', '4 MiB by a ring'),
        '4 MiB as float16',
    )
    for row in _measured(NETWORK)['networks']:
        delay, rate = row['delay_ms'], row['rate_mbit']
        network = f'{delay:g} ms, {rate:g} Mbit/s'
        for count, times in row['seconds'].items():
            cells = []
            for size in ('16', str(4 << 20)):
                model = parallel.model(int(count), int(size), delay / 1e3, rate * 1e6 / 8)
                cells += [times['float32'][size], model]
            cells += [times[way][size] for way in ('ring', 'float16')]
            yield network, count, *(f'{cell * 1e3:.{1 if cell < 0.1 else 0}f}' for cell in cells)
            network = ''


def onnx_table():
    """What 8-bit integers cost and give; what was not measured is told."""
    heading = (
        *('net', 'trained for', 'file, float32', 'file, 8-bit', 'error, float32', 'error, 8-bit'),
        'other class',
        *(
            f'speed of 8-bit against {name}, batch {batch}'
            for batch in (1, 64)
            for name in ('float32', 'Chainer')
        ),
    )
    yield heading
    if not (ROOT / 'benchmarks' / ONNX).exists():
        yield 'not measured', *[''] * (len(heading) - 1)
        return
    for row in _speeds(ONNX):
        flags = row['flags']
        takes_depth = flags['model'] in nets.taking('res_depth')
        depth = f', `--res_depth {flags["res_depth"]}`' if takes_depth else ''
        epochs = '1 epoch' if flags['iter'] == 1 else f'{flags["iter"]} epochs'
        weights = f', `--init {flags["init"]}`' if flags['init'] else ''
        speeds = [
            _ratio(row['speed'].get(batch, {}).get(name))
            for batch in ('1', '64')
            for name in ('float32', 'chainer')
        ]
        yield (
            f'`{flags["model"]}`{depth}',
            f'{epochs} of {row["train_pictures"]:,} pictures{weights}',
            *(f'{row[kind] / 1e6:.1f} MB' for kind in ('bytes', 'int8_bytes')),
            *(f'{row[kind]:.2f} %' for kind in ('error', 'int8_error')),
            f'{100 * row["changed"] / row["pictures"]:.2f} %',
            *speeds,
        )


def _runs():
    return [_run(path.stem) for path in sorted(RUNS.glob('*.json'))]


def _data(run):
    known = _read(DATA)
    if run['data_checksum'] not in known:
        raise SystemExit(f"{DATA}: add a line that says what '{run['data_checksum']}' is")
    return known[run['data_checksum']]


def add(folder):
    """Keep config.json and summary.json of a finished run, and what its curves need of its log."""
    run = _read(folder / 'config.json') | _read(folder / 'summary.json')
    rows = _read(folder / 'log.json')
    for path in sorted(folder.glob('report-test-*.json')):  # of evaluate.py with --tta
        report = _read(path)
        if report['data_of_the_run']:
            run.setdefault('tta_error', {})[report['tta']] = report['error']
    run['lowest_test_error'] = min(row['test_error'] for row in rows)
    run['log'] = {
        name: [round(row[name], 4) for row in rows] for name in _LOGGED if name in rows[0]
    }
    run['command'][0] = pathlib.PurePath(run['command'][0]).name  # not where it was
    _data(run)
    path = RUNS / f'{_name_of(folder)}.json'
    path.write_text(json.dumps(run, indent=1) + '\n', encoding='utf-8')


_LOGGED = 'epoch', *(f'{part}_{of}' for of in ('loss', 'error') for part in figures.PARTS)


def draw_curves():
    """Draw the curves of a run of each experiment, if it was kept with its log, as docs/images."""
    ours = {n: r for n, r in recipes.items() if r.published_error or r.faster_than}
    firsts = [runs[0] for runs in _seeds_of_each()]
    named = []
    for name, recipe in ours.items():
        for run in firsts:
            if _is_run_of(recipe, run) and 'log' in run:
                log = run['log']
                curves = {n: (log['epoch'], log[n], None) for n in log if n != 'epoch'}
                named.append((name, curves))
    figures.comparison(named, CURVES)


def _name_of(folder):
    """The name of a run, by its path below results/: cnn, or cnn_seed1 for one of several seeds."""
    parts = folder.resolve().parts
    if 'results' not in parts:
        return '_'.join(parts[-2:] if re.fullmatch(r'seed\d+', parts[-1]) else parts[-1:])
    return '_'.join(parts[len(parts) - parts[::-1].index('results') :])


def markdown(rows):
    """Rows, the first of which is a header, as a table; an empty row begins another table."""
    lines = []
    for row in rows:
        # A bar would end the cell, even inside of code.
        cells = [cell.replace('|', r'\|') for cell in row]
        lines.append('| ' + ' | '.join(cells) + ' |' if cells else '')
        if cells and (len(lines) == 1 or not lines[-2]):
            lines.append('| ' + ' | '.join(['---'] * len(cells)) + ' |')
    return '\n'.join(lines).strip() + '\n'


TABLES = {
    'headline': headline_table,
    'flags': flags_table,
    'nets': nets_table,
    'recipes': recipes_table,
    'experiments': experiments_table,
    'runs': runs_table,
    'speed': speed_table,
    'settings': settings_table,
    'airbench': airbench_table,
    'profile': profile_table,
    'processes': processes_table,
    'network': network_table,
    'onnx': onnx_table,
    'survives': survives_table,
}


def updated(pages):
    """The pages with each table between its two marker comments made anew.

    Args:
        pages (dict): Texts of pages in Markdown, by their paths.

    Raises:
        SystemExit: A table has no place or several.
    """
    pages = dict(pages)
    for name, rows in TABLES.items():
        pattern = rf'(<!-- table: {name} -->\n).*?(<!-- end -->)'
        table, places = markdown(rows()), 0
        for path, text in pages.items():
            pages[path], n = re.subn(
                pattern, lambda m, t=table: m[1] + t + m[2], text, flags=re.DOTALL
            )
            places += n
        if places != 1:
            raise SystemExit(f"README.md, docs: have {places} places for table '{name}', not one")
    return pages


def read_pages():
    """README.md and the pages in docs/: their texts by their paths."""
    paths = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
    return {path: path.read_text(encoding='utf-8') for path in paths}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing; tell if up to date')
    parser.add_argument('--add', type=pathlib.Path, metavar='FOLDER', help='a run under results/')
    args = parser.parse_args()
    if args.add:
        add(args.add)
        draw_curves()
    old = read_pages()
    new = updated(old)
    outdated = [path for path in new if new[path] != old[path]]
    if args.check and outdated:
        names = ', '.join(str(path.relative_to(ROOT)) for path in outdated)
        sys.exit(f'{names}: run benchmarks/tables.py')
    for path in outdated:
        path.write_text(new[path], encoding='utf-8')


if __name__ == '__main__':
    main()
