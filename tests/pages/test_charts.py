"""Where curves lie on the page."""

import json
import math

import pytest

from chainer_cifar.evaluation.history import History, SeveralSeeds
from chainer_cifar.pages import charts
from chainer_cifar.runs import RunFolder


def run(losses, name='run', **columns):
    rows = [
        {
            'epoch': epoch,
            **{f'{part}_loss': loss for part in ('train', 'test')},
            **{f'{part}_error': 50.0 for part in ('train', 'test')},
            **{column: values[epoch - 1] for column, values in columns.items()},
        }
        for epoch, loss in enumerate(losses, 1)
    ]
    flags = {'iter': len(losses)}
    return History(RunFolder(name), {'flags': flags}, rows, {'epochs': len(losses)}, False)


def test_places():
    """From the left to the right by the epoch, from the top down by the value."""
    error, loss = charts.of_run(run([3.0, 2.0, 0.0]))
    assert error.title == 'error (%)' and [line.name for line in loss.lines] == ['train', 'test']
    top = 100 * 0.15 / 3.225  # the axis goes from -0.025 to 1.05 times the highest
    assert loss.lines[0].dots[0] == pytest.approx((0, top), abs=0.01)
    assert [left for left, _ in loss.lines[0].dots] == [0, 50, 100]
    bottom = 100 * 3.15 / 3.225
    assert loss.lines[0].path.startswith('M0 ') and loss.lines[0].path.count('L') == 2
    assert loss.lines[0].dots[2] == pytest.approx((100, bottom), abs=0.01)
    assert {text: left for left, text in loss.x_ticks} == {'1': 0, '2': 50, '3': 100}
    ticks = [(float(text), top) for top, text in loss.y_ticks]
    assert ticks == sorted(ticks) and [top for _, top in ticks] == sorted(
        (top for _, top in ticks), reverse=True
    )
    # Without validation the last epoch is the result.
    assert loss.ring == pytest.approx((100, bottom), abs=0.01)


def test_the_last_epoch_is_the_result_of_a_fold():
    columns = {'valid_error': [1.0, 2.0, 3.0], 'valid_loss': [1.0, 2.0, 3.0]}
    fold = run([3.0, 2.0, 1.0], **columns)
    assert [chart.ring[0] for chart in charts.of_run(fold)] == [0, 0]  # the lowest of valid
    fold.description['flags'] |= {'folds': 3, 'fold': 1}
    assert [chart.ring[0] for chart in charts.of_run(fold)] == [100, 100]


def test_one_epoch_lies_in_the_middle():
    (_, loss) = charts.of_run(run([1.0]))
    assert loss.lines[0].dots[0][0] == 50 and loss.data['epochs'] == [1]


def test_one_epoch_is_seen_beside_many():
    long, short = charts.of_runs([run([1.0] * 100), run([0.5])])[0].lines
    assert long.dots == [] and [left for left, _ in short.dots] == [0]


def test_a_loss_beyond_measure():
    """It is told, and the rest is drawn; JSON and SVG have no infinity."""
    (_, loss) = charts.of_run(run([math.nan, 1e12, 2.0, 1.0, math.inf, 1.0]))
    json.dumps(loss.data, allow_nan=False)
    assert loss.data['lines'][0]['texts'][:2] == ['nan', '1e+12']
    path = loss.lines[0].path
    assert path.count('M') == 2 and 'nan' not in path and 'inf' not in path
    assert len(loss.lines[0].dots) == 3
    assert min(float(word.split()[1]) for word in path.replace('M', 'L').split('L')[1:]) < 0


def test_a_high_loss_asks_for_a_log_axis():
    (_, loss) = charts.of_run(run([50.0, 1.0, 1.0, 0.5, 0.25]))
    places = [top for _, top in loss.lines[0].dots]
    assert places[3] - places[2] == pytest.approx(places[4] - places[3], abs=0.01)


@pytest.mark.parametrize('decades', range(2, 13))
def test_a_log_axis_has_some_ticks(decades):
    (_, loss) = charts.of_run(run([2.0 * 10 ** (-i / 3) for i in range(3 * decades + 1)]))
    assert 2 <= len(loss.y_ticks) <= 12


def test_several_seeds_are_a_mean_and_a_band():
    runs = (run([1.0, 3.0]), run([3.0, 5.0, 9.0]))
    (_, loss) = charts.of_run(SeveralSeeds(RunFolder('many'), (1, 2), {}, runs))
    assert loss.ring is None and loss.data['epochs'] == [1, 2]
    assert loss.data['lines'][0]['texts'] == ['2.0000 ± 1.4142', '4.0000 ± 1.4142']
    assert loss.lines[0].band.count('L') == 3
    # The band is on the page, too.
    corners = [float(word.split()[1]) for word in loss.lines[0].band[1:].split('L')]
    assert min(corners) > 0 and max(corners) < 100


def test_many_runs_are_told_apart():
    runs = [run([1.0, 2.0], f'run{i}') for i in range(2 * charts.COLOURS)]
    found = charts.of_runs(runs)
    assert [chart.title for chart in found] == [
        f'{part} {measure}'
        for part in ('train', 'test')
        for measure in ('error (%)', 'loss (cross-entropy)')
    ]
    assert len({(line.colour, line.dashed) for line in found[0].lines}) == len(runs)


def test_no_epoch_no_chart():
    assert charts.of_run(run([])) == [] and charts.of_runs([run([]), run([])]) == []
