"""src/visualize.py as a user runs it."""

import json
import shutil

import pytest
from PIL import Image

from chainer_cifar.data import batches
from chainer_cifar.evaluation import pictures as drawing
from chainer_cifar.evaluation.pictures import pictures

NAMES = ['filters', 'activations', 'mistakes', 'batch', 'cam']


def test_all(own_run, command):
    status, out, err = command('visualize', 'models/run')
    assert status == 0 and err == ''
    assert [line.split() for line in out.splitlines()] == [
        [name, f'results/run/{name}.png'] for name in NAMES
    ]
    for name in NAMES:
        with Image.open(own_run / 'results/run' / f'{name}.png') as picture:
            assert picture.format == 'PNG' and min(picture.size) > 150


def test_a_picture_of_earlier_weights_goes(own_run, command, monkeypatch):
    earlier = own_run / 'results/run/mistakes.png'
    earlier.write_bytes(b'earlier')
    monkeypatch.setitem(pictures._items, 'mistakes', lambda looked_at, path: False)
    status, out, _ = command('visualize', 'run', '--only', 'mistakes')
    assert status == 0 and out.split() == ['mistakes', 'nothing', 'to', 'show']
    assert not earlier.exists()


def test_a_strangers_run_does_not_steer_the_terminal(own_run, command):
    (own_run / 'gift').mkdir()
    for name in ('best.npz', 'input.npz', 'config.json'):
        shutil.copy(f'models/run/{name}', 'gift')
    config = json.loads((own_run / 'gift/config.json').read_text())
    config['flags']['prefix'] = 'a\x1b[31m\nFAKE'
    (own_run / 'gift/config.json').write_text(json.dumps(config))
    status, out, _ = command('visualize', 'gift/best.npz', '--only', 'filters')
    assert status == 0 and out.count('\n') == 1 and '\x1b' not in out
    status, out, _ = command('evaluate', 'gift/best.npz', '--limit', 2)
    assert status == 0 and '\x1b' not in out and '\nFAKE' not in out


def test_the_batch_is_drawn_in_the_order_of_training(own_run, command, monkeypatch):
    """Where a batch is a whole epoch, the next order is drawn with it."""
    events = []

    def record(owner, name):
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args: events.append(name) or function(*args))

    record(drawing, 'seed_all')
    record(batches._EpochIterator, 'next')
    assert command('visualize', 'run', '--only', 'batch')[0] == 0
    assert events == ['seed_all', 'next']


def test_filters_of_an_epoch_need_no_data(own_run, command):
    (own_run / 'dataset').rename(own_run / 'gone')
    arguments = ['models/run/epoch-0001.npz', '--only', 'filters', '--out', 'here']
    status, out, _ = command('visualize', *arguments)
    assert status == 0 and out.split() == ['filters', 'here/filters-epoch-0001.png']
    assert (own_run / 'here/filters-epoch-0001.png').exists()


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        (['--only', 'filter'], "--only no picture is called 'filter', did you mean 'filters'?"),
        (['--only', ','], '--only'),
        (['--only', 'batch', '-d', 'none.pkl'], 'none.pkl'),
        (['--out', 'models/run/config.json'], '--out models/run/config.json: is a file'),
    ],
)
def test_mistakes(in_run, refused, arguments, word):
    assert word in refused('visualize', 'models/run', *arguments)
