"""Every command where standard output is closed or full, or its encoding is a small one."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import runs
from chainer_cifar.data import store
from chainer_cifar.data.preprocess import Mean

SRC = pathlib.Path(__file__).parents[2] / 'src'

# All commands in one process, since most of the time of each is that of its imports.
ALL = """
import json, sys
from chainer_cifar import cli, streams
streams.prepare()
statuses = {}
for name, *arguments in json.load(open('commands.json', encoding='utf-8')):
    statuses[name] = cli.run(name, arguments, f'{name}.py')
with open('statuses.json', 'w') as file:
    json.dump(statuses, file)
"""

COMMANDS = [
    ['train', '-m', 'simple', '-b', '8', '--epochs', '1', '-p', '走る', '--cpu_engine', 'chainer'],
    ['evaluate', 'models/走る'],
    ['predict', 'models/走る', '写真', '--gallery', '出力/ねこ.png'],
    ['visualize', 'models/走る', '--only', 'filters,batch'],
    ['summary', 'models/走る'],
    ['dataset', '--source', 'digits', '--only', 'raw', '--out', '数字'],
    ['download', '--url', 'file:///none/猫\x1b.tar.gz', '--retries', '0'],
]
TRAIN = ['-d', 'データ/image.pkl', '-l', 'データ/label.pkl']

# Python in the C locale, as cron jobs and containers have it, kept from taking UTF-8 instead.
ASCII = {'LC_ALL': 'C', 'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0'}
UTF8 = {'PYTHONUTF8': '1'}


def run_all(folder, redirection, variables, commands):
    """Run the commands in `folder`; statuses by name, stdout and stderr as bytes."""
    (folder / 'commands.json').write_text(json.dumps(commands), encoding='utf-8')
    variables = {**runs.environment(), 'PYTHONPATH': str(SRC), **variables}
    done = subprocess.run(
        ['sh', '-c', f'exec "$0" -c "$1" {redirection}', sys.executable, ALL],
        cwd=folder,
        env=variables,
        capture_output=True,
        timeout=120,
    )
    assert b'Traceback' not in done.stderr and done.returncode == 0, done.stderr.decode()
    return json.loads((folder / 'statuses.json').read_text()), done.stdout, done.stderr


@pytest.fixture
def japanese(tmp_path):
    """A folder with data of Japanese classes and a picture of a Japanese name."""
    runs.write_data(tmp_path / 'データ')
    (tmp_path / 'データ' / 'classes.json').write_text('["猫", "いぬ\\u001b", "船"]', 'utf-8')
    store.write_statistics(tmp_path / 'データ' / 'image_stats.npz', Mean(np.float32(0)))
    (tmp_path / '写真').mkdir()
    Image.new('RGB', (40, 50), 'red').save(tmp_path / '写真' / 'ねこ\n.png')
    return tmp_path


@pytest.mark.parametrize(
    ('redirection', 'variables'),
    [
        ('', {**UTF8, 'PYTHONIOENCODING': 'ascii'}),
        ('', {**UTF8, 'PYTHONIOENCODING': 'latin-1'}),
        ('>&-', UTF8),
        ('<&- >&- 2>&-', UTF8),
    ],
)
def test_every_command(japanese, redirection, variables):
    commands = [[*COMMANDS[0], *TRAIN], *COMMANDS[1:]]
    statuses, out, err = run_all(japanese, redirection, variables, commands)
    assert statuses == {name: 2 if name == 'download' else 0 for name, *_ in commands}
    assert (japanese / '出力' / 'ねこ.png').stat().st_size > 0
    report = (japanese / 'results' / '走る' / 'report-test.txt').read_text('utf-8')
    assert '猫' in report and r'いぬ\x1b' in report and '\x1b' not in report
    assert (japanese / 'results' / '走る' / 'error.png').exists()
    assert (b'\x1b' in out or b'\x1b' in err) is False
    if redirection:
        assert out == b''
    else:
        assert b'models/???/best.npz' in out or b'models/??/best.npz' in out
    # At most one line on letters that cannot be drawn, and that of download.
    lines = err.decode('ascii', 'replace').splitlines()
    assert all(line.startswith(('warning: no font', 'download.py: error: ')) for line in lines)
    assert len(lines) <= 2


def test_names_of_files_that_the_locale_cannot_write(japanese):
    commands = [[*COMMANDS[0], *TRAIN], *COMMANDS[1:4]]
    statuses, _, err = run_all(japanese, '', ASCII, commands)
    # JSON gives letters where a command line would give bytes; so no file can be called that.
    assert set(statuses.values()) == {2}
    lines = err.decode().splitlines()
    assert len(lines) == len(commands) and all('.py: error: ' in line for line in lines), lines
    assert any('set PYTHONUTF8=1' in line for line in lines)


def test_the_command_line_of_the_c_locale(japanese):
    """There, names are bytes; they come and go as they are."""
    script = f'{sys.executable} {SRC}/train.py {" ".join([*COMMANDS[0][1:], *TRAIN])}'
    variables = {**runs.environment(), **ASCII}
    done = subprocess.run(script.split(), cwd=japanese, env=variables, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert (japanese / 'models' / '走る' / 'best.npz').exists()
    description = json.loads((japanese / 'models' / '走る' / 'config.json').read_text())
    assert description['classes'][0] == '猫'


@pytest.mark.parametrize('variables', [UTF8, {**UTF8, 'PYTHONUNBUFFERED': '1'}])
def test_a_full_disk_behind_standard_output(japanese, variables):
    if not os.path.exists('/dev/full'):
        pytest.skip('this system has no /dev/full')
    done = subprocess.run(
        [sys.executable, SRC / 'dataset.py', '--help'],
        stdout=open('/dev/full', 'w'),  # noqa: SIM115
        stderr=subprocess.PIPE,
        env={**runs.environment(), **variables},
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == 'dataset.py: error: standard output: No space left on device\n'


def test_a_backend_that_matplotlib_does_not_know(tmp_path):
    done = subprocess.run(
        [sys.executable, SRC / 'compare.py', 'nowhere'],
        cwd=tmp_path,
        env={**runs.environment(), 'MPLBACKEND': 'canary'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith('compare.py: error: nowhere: there is no such run')
