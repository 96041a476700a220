"""In how many processes ``train.py`` trains, and on which devices, without any of them."""

import json

import pytest

from chainer_cifar import cli
from chainer_cifar.commands import train


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Write the description of a run; its flags, and what the later resumptions changed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'results/run').mkdir(parents=True)

    def write(flags, *resumed):
        parts = [{'flags': each, 'versions': {}, 'device': {}} for each in (flags, *resumed)]
        description = {**parts[0], 'data_checksum': '', 'resumed': parts[1:]}
        (tmp_path / 'results/run/config.json').write_text(json.dumps(description))

    return write


def started(monkeypatch, *arguments):
    """How many processes the command starts, or the flags with which it resumes by itself."""
    found = []
    monkeypatch.setattr(train, 'launch', lambda count, argv, prog: found.append(count) or 0)
    monkeypatch.setattr(train.run, 'resume', lambda folder, flags, path: found.append(flags))
    status = cli.run('train', ['-p', 'run', *arguments], 'train.py')
    assert len(found) == (status == 0)
    return found[0] if found else status


def test_a_run_resumed_with_one_process_records_one(saved, monkeypatch):
    # The newest snapshot may be from before the first resumption: with two.
    saved({'processes': 2}, {'processes': 1})
    assert started(monkeypatch, '--resume') == {'prefix': 'run', 'processes': 1}
