"""Curves as page.html draws them: an SVG that stretches, with words as HTML beside it.

Places are shares of the plot, in percent from the left and from the top: so the curves fill any
width, and letters keep their size on a phone. charts.js tells the numbers under the pointer.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from chainer_cifar import figures
from chainer_cifar.evaluation import comparison
from chainer_cifar.evaluation.comparison import Course
from chainer_cifar.evaluation.history import History, SeveralSeeds, finite
from chainer_cifar.streams import printable

COLOURS = 8  # that style.css names; further curves are dashed

_DIGITS = {'error': 2, 'loss': 4}


class Line(NamedTuple):
    """One curve of a chart.

    Attributes:
        name: In the legend.
        colour: A number from 0 to `COLOURS` - 1.
        dashed: Or whole.
        path, band: SVG paths of the mean and what lies one standard deviation around it.
        dots: Places (left, top) of single epochs, where there are few.
    """

    name: str
    colour: int
    dashed: bool
    path: str
    band: str
    dots: list[tuple[float, float]]


class Chart(NamedTuple):
    """What page.html needs to draw one.

    Attributes:
        title: Above.
        lines: The curves.
        x_ticks, y_ticks: Places and their texts.
        ring: The place (left, top) of the result; None where it is not marked.
        data: For charts.js: epochs, their places, and each curve's values.
    """

    title: str
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    ring: tuple[float, float] | None
    data: dict[str, Any]


def of_run(run: History | SeveralSeeds) -> list[Chart]:
    """Error and loss of a run: train, valid and test in each. None before the first epoch."""
    charts = []
    for measure, label in figures.MEASURES.items():
        found = [(part, comparison.course(run, f'{part}_{measure}')) for part in figures.PARTS]
        ring = None
        if isinstance(run, History) and run.best:
            ring = run.best['epoch'], run.best[f'test_{measure}']
        charts.append(_chart(label, measure, found, ring))
    return [chart for chart in charts if chart]


def of_runs(runs: Iterable[History | SeveralSeeds]) -> list[Chart]:
    """Charts of all runs: error and loss of train, of valid and of test."""
    charts = []
    for part in figures.PARTS:
        for measure, label in figures.MEASURES.items():
            found = [(run.name, comparison.course(run, f'{part}_{measure}')) for run in runs]
            charts.append(_chart(f'{part} {label}', measure, found))
    return [chart for chart in charts if chart]


def _chart(
    title: str,
    measure: str,
    found: Sequence[tuple[str, Course | None]],
    ring: tuple[float, float] | None = None,
) -> Chart | None:
    numbered = [(i, name, course) for i, (name, course) in enumerate(found) if course]
    if not numbered:
        return None
    courses = [course for _, _, course in numbered]
    last = max(course.epochs[-1] for course in courses)
    first = min(course.epochs[0] for course in courses)
    left, right = (first, last) if first < last else (first - 0.5, last + 0.5)
    vertical = _Vertical(*figures.limits(measure, courses))

    def across(epoch: float) -> float:
        return _place((epoch - left) / (right - left))

    lines = [
        # A single epoch is no line: without its dot, nothing would be seen of it.
        _line(i, name, course, across, vertical, last - first < 50 or len(course.epochs) == 1)
        for i, name, course in numbered
    ]
    epochs = range(first, last + 1)
    ticks = figures.MaxNLocator(6, integer=True, min_n_ticks=1).tick_values(left, right)
    return Chart(
        title,
        lines,
        [(across(tick), f'{tick:g}') for tick in ticks if left <= tick <= right],
        [(vertical(tick), f'{tick:g}') for tick in vertical.ticks()],
        (across(ring[0]), vertical(ring[1])) if ring and finite(ring[1]) is not None else None,
        {
            'epochs': list(epochs),
            'places': [across(epoch) for epoch in epochs],
            'lines': [
                {
                    'name': line.name,
                    'colour': line.colour,
                    'texts': _texts(course, epochs, _DIGITS[measure]),
                }
                for line, course in zip(lines, courses, strict=True)
            ],
        },
    )


class _Vertical:
    """From values to places, percent from the top."""

    def __init__(self, log: bool, low: float, high: float) -> None:
        self.log, self.low, self.high = log, low, high

    def __call__(self, value: float) -> float:
        if self.log:
            low, high, value = (math.log(max(x, 1e-300)) for x in (self.low, self.high, value))
        else:
            low, high = self.low, self.high
        # What lies far beyond the limits is not drawn; SVG takes only so large numbers.
        return _place(min(max((high - value) / (high - low), -2), 3))

    def ticks(self) -> list[float]:
        low, high = self.low, self.high
        locator = figures.log_locator(low, high) if self.log else figures.MaxNLocator(5)
        ticks = locator.tick_values(low, high)
        return [float(tick) for tick in ticks if low <= tick <= high]


def _place(share: float) -> float:
    return round(100 * share, 3)


def _line(
    number: int,
    name: str,
    course: Course,
    across: Callable[[float], float],
    vertical: Callable[[float], float],
    few: bool,
) -> Line:
    points = [
        (across(epoch), vertical(mean)) if finite(mean) is not None else None
        for epoch, mean in zip(course.epochs, course.mean, strict=True)
    ]
    band = ''
    if course.sd is not None:
        edges: tuple[list[tuple[float, float]], ...] = ([], [])
        for epoch, mean, sd in zip(course.epochs, course.mean, course.sd, strict=True):
            if finite(mean) is not None and finite(sd) is not None:
                edges[0].append((across(epoch), vertical(mean + sd)))
                edges[1].append((across(epoch), vertical(mean - sd)))
        band = _path(edges[0] + edges[1][::-1])
    dots = [point for point in points if point and 0 <= point[1] <= 100] if few else []
    dashed = number // COLOURS % 2 == 1
    return Line(printable(name), number % COLOURS, dashed, _path(points), band, dots)


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    words, move = [], True
    for point in points:
        if point is None:
            move = True
        else:
            words.append(f'{"M" if move else "L"}{point[0]:g} {point[1]:g}')
            move = False
    return ''.join(words)


def _texts(course: Course, epochs: range, digits: int) -> list[str]:
    """What is told of each epoch; empty where the curve has none."""
    texts = dict.fromkeys(epochs, '')
    deviations = course.sd or itertools.repeat(None, len(course.epochs))
    for epoch, mean, sd in zip(course.epochs, course.mean, deviations, strict=True):
        form = '.3g' if 1000 <= abs(mean) < math.inf else f'.{digits}f'
        texts[epoch] = f'{mean:{form}}' + (f' ± {sd:{form}}' if sd is not None else '')
    return list(texts.values())
