"""train.py --find_lr, and other ends of a run than its last epoch, as a user sees them."""

import json
import re

import pytest
from PIL import Image

from chainer_cifar.evaluation import history
from runs import files, write_data

pytestmark = pytest.mark.usefixtures('without_curves')

DATA = ['-d', 'data/image.pkl', '-l', 'data/label.pkl']
NET = ['-m', 'simple_gap', '-b', '10', '-p', 'run']


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    write_data(tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(('optimizer', 'flag'), [('adam', '--alpha'), ('nesterov', '--lr')])
def test_find_lr(fresh, command, optimizer, flag):
    before = files(fresh)
    status, out, err = command('train', *DATA, *NET, '--optimizer', optimizer, '--find_lr')
    assert status == 0 and err == ''
    rows = re.findall(r'^ *([\d.e+-]+) +(\d+\.\d{4})$', out, re.M)
    rates = [float(rate) for rate, _ in rows]
    assert len(rows) == 15 and rates == sorted(rates) and rates[0] == 1e-6
    suggested = float(re.search(rf'^suggested  {flag} (\S+)$', out, re.M)[1])
    assert rates[0] < suggested < rates[-1] / 9
    picture = fresh / 'results/run/find_lr.png'
    with Image.open(picture) as image:
        assert image.size == (840, 540)
    # Nothing else was written, and nothing of it is in the way of a run.
    assert files(fresh).keys() - before.keys() == {
        *('results', 'results/run', 'results/run/find_lr.png')
    }
    assert command('train', *DATA, *NET, '--iter', 1)[0] == 0


def test_patience(fresh, command, refused):
    flags = [*DATA, *NET, '--lr', 0, '--iter', 30]
    status, out, _ = command('train', *flags, '--patience', 2)
    assert status == 0 and out.count('images/s') == 1
    assert 'stopped: no lower validation error for 2 epochs (--patience)\n' in out
    assert len((fresh / 'results/run/log.csv').read_text().splitlines()) == 4
    status, out, _ = command('train', '--resume', '-p', 'run')
    assert status == 0 and 'finished already; a larger --patience than 2 would go on' in out
    status, out, _ = command('train', '--resume', '-p', 'run', '--patience', 4)
    assert status == 0 and 'resuming after iteration' in out
    assert len((fresh / 'results/run/log.csv').read_text().splitlines()) == 6
    assert 'no_valid_data' in refused('train', *flags, '--patience', 2, '--no_valid_data')


@pytest.mark.parametrize('flags', [('--iter', 3), ('--patience', 1)])
def test_a_run_that_was_killed_is_finished_by_less(fresh, command, flags):
    assert command('train', *DATA, *NET, '--lr', 0, '--iter', 4)[0] == 0
    for root in ('models', 'results'):
        path = fresh / root / 'run/config.json'
        config = json.loads(path.read_text())
        config['flags']['iter'] = 8
        path.write_text(json.dumps(config))
    (fresh / 'results/run/summary.json').unlink()
    assert history.read('run').state == 'unfinished, 4 of 8 epochs'
    assert command('train', '--resume', '-p', 'run', *flags)[0] == 0
    assert history.read('run').state == 'finished'


def test_a_factor_of_nothing(fresh, refused):
    error = refused('train', *DATA, *NET, '--lr_factors', 'bn_beta=64')
    assert "--lr_factors 'bn_beta': no part of the net is called so" in error
    assert not (fresh / 'models').exists()


def test_airbench_from_beginning_to_end(fresh, command):
    flags = [
        *DATA,
        *['-m', 'airbench94', '-b', '10', '-p', 'run', '--optimizer', 'nesterov', '--lr', '0.05'],
    ]
    flags += ['--lr_factors', 'bn_beta=64,whiten/b=1@1', '--average', 'lookahead(2)']
    status, _, err = command('train', *flags, '--iter', 1)
    assert status == 0 and err == ''
    status, out, err = command('evaluate', 'run', '--tta', 'mirror_shift')
    assert status == 0 and err == '' and 'accuracy' in out
    status, out, err = command('visualize', 'run', '--only', 'filters,activations')
    assert status == 0 and err == '' and 'nothing' not in out
    assert command('summary', 'run')[0] == 0
