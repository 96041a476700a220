"""src/compare.py as a user runs it."""

import csv
import io
import json
import pathlib
import shutil

import filelock
import pytest
from PIL import Image


@pytest.fixture
def runs(own_run):
    """Three runs: `run` of two epochs, `other`, with another flag and log, and `many` of both."""
    for name in ('other', 'many/seed1', 'many/seed2'):
        shutil.copytree('results/run', pathlib.Path('results', name))
    change('other', 'config', lambda config: config['flags'].update(lr=0.25, seed=7))
    for seed, error in ((1, 10.0), (2, 20.0)):
        name = f'many/seed{seed}'
        change(name, 'config', lambda c, s=seed: c['flags'].update(seed=s, prefix='x'))
        change(name, 'log', lambda rows, e=error: rows[0].update(valid_error=0.0, test_error=e))
    flags = json.loads(pathlib.Path('results/run/config.json').read_text())['flags']
    seeds = {'version': 1, 'seeds': [1, 2], 'flags': flags}
    pathlib.Path('results/many/seeds.json').write_text(json.dumps(seeds))
    return own_run


def log(*epochs):
    names = ('train_loss', 'train_error', 'test_loss', 'test_error')
    return json.dumps([{'epoch': epoch, **dict.fromkeys(names, 1.0)} for epoch in epochs])


def change(name, file, how):
    path = pathlib.Path('results', name, f'{file}.json')
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def test_table(runs, command):
    status, out, err = command('compare', 'run', 'results/other', 'models/run', 'many')
    assert status == 0 and err == ''
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ['run', 'run', 'other', 'many']
    summary = json.loads(pathlib.Path('results/run/summary.json').read_text())
    assert f'{summary["test_error"]:.2f}' in lines[1] and ' finished ' in lines[1]
    assert '15.00 ± 7.07' in lines[3] and 'finished, 2 seeds' in lines[3]
    assert ['--lr', '0.01', '0.25', '0.01'] in [line.split() for line in lines]
    assert ['--seed', '1', '7', '1,2'] in [line.split() for line in lines]
    assert '--prefix' not in out and '--model' not in out
    with Image.open('results/compare.png') as picture:
        assert picture.format == 'PNG' and picture.width > 1000


def test_json_and_csv(runs, command):
    arguments = ['run', 'other', 'many', '--out', 'c.png', '--format']
    status, out, err = command('compare', *arguments, 'json')
    assert status == 0 and 'c.png' in err and pathlib.Path('c.png').exists()
    run, other, many = json.loads(out)
    assert (many['test_error'], many['seeds']) == (15, [1, 2])
    assert many['test_error_sd'] == pytest.approx(50**0.5)
    assert run['test_error_sd'] is None and run['finished'] and run['parameters'] > 1000
    assert other['flags'] == {'lr': 0.25, 'seed': 7} and many['flags']['seed'] == [1, 2]
    summary = json.loads(pathlib.Path('results/run/summary.json').read_text())
    for name in ('test_error', 'best_epoch', 'epochs', 'seconds', 'images_per_second'):
        assert run[name] == pytest.approx(summary[name])
    _, out, _ = command('compare', *arguments, 'csv')
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row['run'] for row in rows] == ['run', 'other', 'many']
    assert [row['--lr'] for row in rows] == ['0.01', '0.25', '0.01']
    assert rows[2]['seeds'] == '1,2' and float(rows[0]['test_error']) == run['test_error']


def test_runs_of_other_data_are_told(runs, command):
    note = 'unless these are the same pictures, treated otherwise, their errors cannot be compared'
    assert note not in command('compare', 'run', 'other', 'many')[1]
    change('other', 'config', lambda config: config.update(data_checksum='0badcafe'))
    change('run', 'config', lambda config: config['flags'].update(lr=0.25, seed=7))
    out = command('compare', 'run', 'other')[1]
    assert note in out and 'their flags do not differ' in out
    (run, other) = json.loads(command('compare', 'run', 'other', '--format', 'json')[1])
    assert other['data_checksum'] == '0badcafe' != run['data_checksum']
    # Nobody knows of an early run.
    change('other', 'config', lambda config: config.pop('data_checksum'))
    assert note not in command('compare', 'run', 'other')[1]


@pytest.mark.parametrize(
    ('values', 'texts'),
    [((0.1, 0.1000001), ('0.1', '0.1000001')), ((1e-5, 100.0), ('1e-05', '100'))],
)
def test_flags_that_differ_look_different(runs, command, values, texts):
    for name, value in zip(('run', 'other'), values, strict=True):
        change(name, 'config', lambda config, lr=value: config['flags'].update(lr=lr))
    lines = command('compare', 'run', 'other')[1].splitlines()
    assert ['--lr', *texts] in [line.split() for line in lines]


def test_what_is_not_finished_is_told(runs, command):
    change('run', 'config', lambda config: config['flags'].update(iter=5))
    pathlib.Path('results/other/log.json').unlink()
    pathlib.Path('results/many/seed2/summary.json').unlink()
    found = json.loads(command('compare', 'run', 'other', 'many', '--format', 'json')[1])
    assert [run['state'] for run in found] == [
        'unfinished, 2 of 5 epochs',
        'unfinished, 0 of 2 epochs',
        'unfinished, 1 of 2 seeds',
    ]
    assert found[1]['test_error'] is None and found[2]['test_error'] == 10
    with filelock.FileLock('models/run/.lock'):
        (run,) = json.loads(command('compare', 'run', '--format', 'json')[1])
    assert run['state'] == 'training, 2 of 5 epochs'


def test_a_resumed_run_has_the_flags_of_now(runs, command):
    begun = json.loads(pathlib.Path('results/run/config.json').read_text())
    later = {key: begun[key] for key in ('flags', 'versions', 'device')}
    later['flags']['iter'] = 3
    change('run', 'config', lambda config: config.update(resumed=[later]))
    _, out, _ = command('compare', 'run', 'other')
    assert 'unfinished, 2 of 3 epochs' in out and '--iter' in out


@pytest.mark.parametrize(
    ('file', 'text'),
    [
        ('config.json', '{'),
        ('config.json', '{"flags": {"iter": "x"}}'),
        ('config.json', '{"flags": {"patience": "x"}}'),
        ('config.json', '{"flags": {"seed": [1]}}'),
        ('config.json', '{"flags": {}, "resumed": [1]}'),
        ('config.json', '{"flags": {}, "resumed": [{}]}'),
        ('config.json', '{"flags": {}, "resumed": 1}'),
        ('log.json', '[{"epoch": 1}]'),
        ('log.json', '[1'),
        ('log.json', log(1.0)),
        ('log.json', log(2)),
        ('log.json', log(1, 1)),
        ('summary.json', '[]'),
        ('summary.json', '\xff'),
    ],
)
def test_damaged_files_are_a_line(runs, command, refused, file, text):
    pathlib.Path('results/other', file).write_text(text, encoding='latin-1')
    assert f'error: results/other/{file}: cannot be read' in refused('compare', 'other')
    status, out, err = command('compare', 'other', 'run')
    assert status == 2 and out.splitlines()[1].startswith('run ')
    warning, error = err.splitlines()
    assert warning.startswith(f'warning: results/other/{file}: cannot be read')
    assert error == 'compare.py: error: 1 of 2 runs could not be read'


def test_refusals(runs, refused):
    assert "no such run under results/, did you mean 'other'?" in refused('compare', 'ohter')
    assert 'must be the name of a .png file' in refused('compare', 'run', '--out', 'a.jpg')
    assert "--format no format is called 'xml'" in refused('compare', 'run', '--format', 'xml')
    for name in ('../run', '/tmp', 'results', '.', ''):
        assert 'there is no such run' in refused('compare', name)


def test_a_run_of_another_version(runs, command):
    """Flags that nobody knows any more are told, and its net has no number of parameters."""
    change('other', 'config', lambda config: config['flags'].update(colour='$red$', model='old'))
    (_, other) = json.loads(command('compare', 'run', 'other', '--format', 'json')[1])
    assert other['flags']['colour'] == '$red$' and other['parameters'] is None
    assert command('compare', 'run', 'other')[0] == 0
