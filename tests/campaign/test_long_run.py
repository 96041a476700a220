"""What the long run takes for growth."""

import time

import pytest

from campaign import commands
from campaign.long_run import LongRun, _require_even, _require_even_time, _Sample
from campaign.part import Broke


def samples(memory=0, descriptors=0, seconds=0.0, epochs=1000):
    """Samples of a run that grows by so much with each epoch."""
    return [
        _Sample(e, e + seconds * e * e / 2, 10**8 + memory * e, 10 + int(descriptors * e))
        for e in range(0, epochs, 5)
    ]


def test_an_even_run():
    run = samples(memory=10_000, descriptors=0.004, seconds=0.0001)
    _require_even(run, 1000)
    _require_even_time(run, 1000)


@pytest.mark.parametrize(
    ('growth', 'reason'),
    [({'memory': 200_000}, 'memory: '), ({'descriptors': 0.1}, 'descriptors: ')],
)
def test_growth(growth, reason):
    with pytest.raises(Broke, match=reason):
        _require_even(samples(**growth), 1000)


def test_growth_of_the_time():
    with pytest.raises(Broke, match='time an epoch: '):
        _require_even_time(samples(seconds=0.01), 1000)


def test_other_work_late_in_the_run_is_no_growth():
    early, late = samples()[:170], samples()[170:]
    _require_even_time([*early, *(s._replace(seconds=4 * s.seconds) for s in late)], 1000)


def test_a_training_that_waits_for_ever(tmp_path, monkeypatch):
    def begin(*words, **options):
        return commands.Started('train', lambda: time.sleep(60), tmp_path, seconds=0.1)

    monkeypatch.setattr(commands, 'start_forked', begin)
    part = LongRun(tmp_path)
    with pytest.raises(Broke, match='has not ended'):
        part.run(part.case(1, 0), tmp_path)


def test_too_few_samples():
    with pytest.raises(Broke, match='too few'):
        _require_even(samples()[:2], 1000)
    with pytest.raises(Broke, match='too few'):
        _require_even_time(samples()[:2], 1000)
