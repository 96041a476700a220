"""What the benchmarks of training steps share, and how the one for a GPU ends without a GPU."""

import importlib
import os
import pathlib
import sys
from unittest import mock

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / 'benchmarks'


@pytest.fixture
def load(monkeypatch):
    """Imports a module of benchmarks/."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_ratio_of_the_same_rounds(load):
    found = load('race').ratio([2.0, 8.0, 9.0, 4.0], [1.0, 2.0, 3.0, 1.0])
    assert found['ratio'] == 3.5 and found['quartiles'][0] < 3.5 < found['quartiles'][1]


def test_a_contender_answers(load):
    race = load('race')
    program = 'import race; race.work(lambda: None, lambda: {"peak_mb": 7})'
    environment = {**os.environ, 'PYTHONPATH': str(BENCHMARKS)}
    worker = race.Worker([sys.executable, '-c', program], environment)
    assert worker.read() is True
    assert 0 <= worker.ask('step') < 1
    assert worker.ask('report') == {'peak_mb': 7}
    worker.close()


def test_a_contender_that_is_not_there(load):
    worker = load('race').Worker([sys.executable, '-c', 'import no_such_package'], None)
    assert worker.read() is None
    worker.close()


def test_without_a_gpu(load, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'cupy', None)  # as if it were not installed
    monkeypatch.setattr(sys, 'argv', ['gpu_training.py'])
    load('gpu_training').main()
    out = capsys.readouterr().out
    assert out.startswith('no GPU, so no speed to measure: CuPy is not installed')
    assert out.count('\n') == 1


def test_no_net_of_keras_stands_for_another(load, monkeypatch):
    monkeypatch.setitem(sys.modules, 'keras', mock.MagicMock())
    monkeypatch.delitem(sys.modules, 'keras_nets', raising=False)
    nets = load('keras_nets')
    monkeypatch.delitem(sys.modules, 'keras_nets')
    nets.create('cnn', 0)
    for name in ('vgg16', 'resnet164', 'airbench94'):
        with pytest.raises(KeyError):
            nets.create(name, 0)
