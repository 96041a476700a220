"""Faults come at the call that was chosen, and every kind of file has its share."""

import errno
import os
import re
import signal

import pytest

from campaign import kills
from campaign.commands import Done
from campaign.faults import _choose, faults
from campaign.kinds import kind, pattern
from campaign.part import Broke, Impossible

NAME = 'dataset of own pictures'


@pytest.mark.parametrize(
    ('path', 'expected'),
    [
        ('models/run/snapshot-00000012.npz', 'models/run/snapshot-#.npz'),
        ('models/run/.snapshot-00000012.npz.a8_x3b.tmp', 'models/run/snapshot-#.npz'),
        ('-models/run/.best.npz.a8_x3b.tmp', '-models/run/best.npz'),
        ('out/.image_raw.x1.tmp/train.npy', 'out/image_raw/train.npy'),
        ('results/run/seed2/log.json', 'results/run/seed#/log.json'),
        ('models/run/.lock', 'models/run/.lock'),
    ],
)
def test_kinds(path, expected):
    assert kind(path) == expected
    assert re.fullmatch(pattern(expected), path)
    assert not re.fullmatch(pattern(expected), f'{path}x')


def test_a_kind_of_many_calls_is_chosen_as_often_as_others():
    calls = {'loss.png': 700, 'log.json': 3, '-log.json': 1}
    chosen = [_choose(calls, (n / 30, n / 30), 28)[0] for n in range(30)]
    assert {name: chosen.count(name) for name in calls} == dict.fromkeys(calls, 10)
    assert _choose({'log.json': 3}, (0.5, 0.99), 28)[1].at == 3


def test_faults_come_where_they_were_drawn(tmp_path):
    some = faults(tmp_path / 'shared')
    try:
        calls = some._calls_of(NAME)
    except Impossible as missing:
        pytest.skip(str(missing))
    try:
        kinds = sorted(name for name in calls if name[0] != '-')
        at = ((kinds.index('out/label.pkl') + 0.5) / len(kinds), 0.5)
        (tmp_path / 'full').mkdir()
        some._truths.prepare(kills.JOBS[NAME], tmp_path / 'full')
        done = some.disk(NAME, (), tmp_path / 'full', at, errno.ENOSPC, True)
        assert done.status == 2
        assert re.search(f'label.pkl: .*{os.strerror(errno.ENOSPC)}', done.err)

        (tmp_path / 'killed').mkdir()
        some._truths.prepare(kills.JOBS[NAME], tmp_path / 'killed')
        command = kills.JOBS[NAME].command
        done = some.signal(NAME, command, tmp_path / 'killed', (0.5, 0.5), signal.SIGKILL)
        assert done.status == -signal.SIGKILL
    finally:
        some.close()


def test_lost_iterations_are_noticed(tmp_path):
    run = tmp_path / 'models/run'
    run.mkdir(parents=True)
    (run / 'snapshot-00000004.npz').touch()
    stopped = 'train.py: stopped at iteration {}; continue with --resume -p run'
    kills._require_kept({'models/run': 4}, Done('train', 130, '', stopped.format(4)), tmp_path)
    for before, said, reason in (
        ({'models/run': 8}, '', 'a snapshot of iteration 8, then one of 4'),
        ({}, stopped.format(6), 'stopped at iteration 6'),
        ({'models/run': 4}, 'error: there is no run to resume', 'none to resume, but'),
    ):
        with pytest.raises(Broke, match=reason):
            kills._require_kept(before, Done('train', 2, '', said), tmp_path)
