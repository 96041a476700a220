"""The campaign itself: what it counts, how it goes on, and the limits of its commands."""

import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import types
from typing import ClassVar

import pytest

from campaign import commands, run, zygote
from campaign.part import Broke, Impossible, Part, require
from campaign.results import Results


class Toy(Part):
    """Every third case fails."""

    name = 'toy'
    kinds: ClassVar = {'small': 'a small one', 'large': 'a large one'}
    in_tests = 3

    def draw(self, number, rng):
        return self.kind_of(number), {'size': rng.random()}

    def run(self, case, folder):
        assert not list(folder.iterdir())
        (folder / 'file').touch()
        require(case.number % 3, 'a third')


class Odd(Toy):
    name = 'odd'
    share = 3.0

    def run(self, case, folder):
        raise KeyError('an error of the campaign')


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setattr(run, 'PARTS', {'toy': Toy, 'odd': Odd})
    # A clock that goes on by a second whenever somebody looks at it, so that a case takes one.
    monkeypatch.setattr(run, 'time', types.SimpleNamespace(monotonic=itertools.count().__next__))


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()][1:]


def test_counts_fails_and_goes_on(toys, tmp_path, capsys):
    flags = [f'--results={tmp_path / "results"}', f'--json={tmp_path / "json"}', '--part=toy']
    assert run.main([*flags, '--minutes=0.1']) == 1
    first = rows(tmp_path / 'results')
    assert [row['case'] for row in first] == list(range(6))
    assert [row['held'] for row in first] == [False, True, True, False, True, True]
    assert 'FAILED toy 0: small; size 0.' in capsys.readouterr().out

    with open(tmp_path / 'results', 'a') as file:
        file.write('{"part": "toy", "ca')  # as a kill leaves it
    assert run.main([*flags, '--minutes=0.2']) == 1
    both = rows(tmp_path / 'results')
    assert both[:6] == first and [row['case'] for row in both] == list(range(12))
    assert run.main([*flags, '--minutes=0.2']) == 1
    assert rows(tmp_path / 'results') == both  # the time was used already

    summary = json.loads((tmp_path / 'json').read_text())
    assert summary['parts']['toy'] == {
        kind: {'what': what, 'tried': 6, 'held': 4} for kind, what in Toy.kinds.items()
    }
    assert summary['seed'] == 1 and summary['failed'][0] == 'toy 0: a third'


def test_another_seed_begins_anew(toys, tmp_path):
    flags = [f'--results={tmp_path / "results.jsonl"}', '--part=toy', '--minutes=0.1']
    run.main(flags)
    run.main([*flags, '--seed=2'])
    assert json.loads((tmp_path / 'results.jsonl').read_text().splitlines()[0])['seed'] == 2
    assert (tmp_path / 'results.old.jsonl').exists()


def test_time_is_shared_out(toys, tmp_path):
    run.main([f'--results={tmp_path / "results"}', '--minutes=1'])
    results = rows(tmp_path / 'results')
    assert sum(row['part'] == 'toy' for row in results) == 15  # a quarter of 60 seconds
    assert all(row['part'] == 'toy' or 'KeyError' in row['reason'] for row in results)


def test_small_cases_run_beside_the_others(toys, tmp_path, monkeypatch):
    monkeypatch.setattr(Odd, 'small', True)
    assert run.main([f'--results={tmp_path / "results"}', '--minutes=0.5']) == 1
    results = rows(tmp_path / 'results')
    assert [sum(row['part'] == name for row in results) for name in ('toy', 'odd')] == [30, 30]
    # Alone it needs no process beside.
    monkeypatch.setattr(run, '_beside', None)
    assert run.main([f'--results={tmp_path / "other"}', '--minutes=0.1', '--part=odd']) == 1
    assert len(rows(tmp_path / 'other')) == 6


@pytest.mark.parametrize('death', [lambda: os._exit(137), lambda: 1 / 0], ids=['killed', 'error'])
def test_a_process_of_small_cases_that_dies_is_a_failure(toys, tmp_path, monkeypatch, capfd, death):
    monkeypatch.setattr(Odd, 'small', True)
    monkeypatch.setattr(Odd, 'case', lambda self, seed, number: death())
    monkeypatch.setattr(Toy, 'run', lambda self, case, folder: None)
    assert run.main([f'--results={tmp_path / "results"}', '--minutes=0.5']) == 1
    assert 'has died' in capfd.readouterr().out


def test_a_few_cases_of_each_part(toys, tmp_path):
    run.main([f'--results={tmp_path / "results"}', '--few'])
    assert sorted((row['part'], row['case']) for row in rows(tmp_path / 'results')) == [
        (part, case) for part in ('odd', 'toy') for case in range(3)
    ]


def test_a_case_alone(toys, tmp_path, capsys):
    flags = ['--part=toy', f'--scratch={tmp_path}']
    assert run.main([*flags, '--case=4']) == 0
    assert run.main([*flags, '--case=6']) == 1
    assert 'FAILED: a third' in capsys.readouterr().out
    assert sorted(path.name[:6] for path in tmp_path.iterdir()) == ['toy-4-', 'toy-6-']


def test_a_case_alone_that_cannot_be_tried(toys, tmp_path, monkeypatch, capsys):
    def fail(self, case, folder):
        raise Impossible('no such thing')

    monkeypatch.setattr(Toy, 'run', fail)
    assert run.main(['--part=toy', '--case=4', f'--scratch={tmp_path}']) == 1
    assert 'not tried: no such thing' in capsys.readouterr().out


def test_all_that_held_is_success(toys, tmp_path):
    results = Results(tmp_path / 'results', {})
    results.add(Toy(tmp_path).case(1, 1), None, 9)
    assert not results.failed()
    assert run.main([f'--results={tmp_path / "results"}', '--minutes=0', '--part=toy']) == 0


def test_a_fork_is_limited_and_told_apart(tmp_path, monkeypatch):
    done = commands.in_fork(lambda: print(os.getcwd()) or 3, 'some', tmp_path)
    assert (done.status, done.out, done.err) == (3, f'{tmp_path}\n', '')
    done = commands.in_fork(lambda: len(bytes(commands.BYTES)), 'some', tmp_path)
    assert done.status == 1 and 'MemoryError' in done.err
    with pytest.raises(Broke, match='Traceback: MemoryError'):
        done.require_told()
    monkeypatch.setattr(os, 'getloadavg', lambda: (0.0, 0.0, 0.0))  # the more, the more patient
    with pytest.raises(Broke, match='has not ended after'):
        commands.Started('some', lambda: time.sleep(30), tmp_path, seconds=0.1).finish()


@pytest.mark.parametrize('start', [commands.run, commands.forked])
def test_commands_are_judged(tmp_path, start):
    done = start('download', '--sett', cwd=tmp_path)
    done.require_told()
    assert done.status == 2 and 'no flag is called' in done.err
    with pytest.raises(Broke, match='exit status 2, not one of'):
        done.require_told([0])
    start('download', '--help', cwd=tmp_path).require_told([0])


def test_a_fork_that_dies_under_a_fault_is_told(tmp_path, monkeypatch):
    def begin(*words, cwd, **options):
        return commands.Started('train', lambda: os.kill(os.getpid(), 9), cwd)

    monkeypatch.setattr(commands, 'start_forked', begin)
    library = types.SimpleNamespace(campaign_arm=print)
    answer = zygote._run(library, ['train'], str(tmp_path), ('', 1, 28, True), {})
    assert (answer['status'], answer['calls']) == (-9, {})


@pytest.mark.parametrize(
    ('number', 'status', 'told'),
    [(signal.SIGTERM, -signal.SIGTERM, ''), (signal.SIGINT, 1, 'KeyboardInterrupt')],
)
def test_a_signal_before_a_fork_is_a_command(tmp_path, monkeypatch, number, status, told):
    monkeypatch.setattr(os, 'setsid', lambda: time.sleep(0.2))  # the first thing that it does
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as in a campaign
    try:
        with commands.Started('some', lambda: time.sleep(30), tmp_path) as started:
            started.send(number)
            done = started.finish()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert done.status == status and told in done.err
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_what_others_take_of_the_cores_is_not_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'getloadavg', lambda: (0.0, 0.0, 0.0))
    with commands.Started('some', lambda: time.sleep(30), tmp_path, seconds=0.01) as started:
        started.wait(0.1)
        assert started.is_late()
        monkeypatch.setattr(commands, '_kept_waiting', {started.pid: 60.0}.get)
        assert not started.is_late()


def test_a_stopped_campaign_leaves_nothing(tmp_path):
    folder, results = tmp_path / 'scratch', tmp_path / 'results'
    folder.mkdir()
    campaign = subprocess.Popen(
        [
            *(sys.executable, pathlib.Path(__file__).parent, '--part', 'kills', '--part', 'inputs'),
            *('--scratch', folder, '--results', results, '--minutes', '60'),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    while not list(folder.glob('*/shared/truths/*')):  # it is at work
        assert campaign.poll() is None
        time.sleep(0.05)
    campaign.terminate()
    told, _ = campaign.communicate()
    assert 'stopped; the same command goes on' in told
    assert not list(folder.iterdir())
