"""Draw what mattered in a search: the errors of its trials, and over each flag."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullLocator

from chainer_cifar.figures import png
from chainer_cifar.figures.fonts import drawable
from chainer_cifar.figures.texts import shortened, titled
from chainer_cifar.figures.ticks import log_locator, make_logarithmic

COLUMNS = 3
LOG_FROM = 10  # how many times the lowest error the highest is, for a logarithmic axis
SPREAD = 0.25  # how far points of one alternative lie apart, of the distance to the next
MARGIN = 0.06  # of an axis, beyond what it shows
LETTERS = 36  # of alternatives that stand side by side

_RING: dict[str, Any] = {'markersize': 13, 'markerfacecolor': 'none', 'color': 'tab:red'}


class Point(NamedTuple):
    """A trial.

    Attributes:
        number: Of the trial.
        error: Percent.
        finished: It was trained to its end.
        values: Numbers, and alternatives as texts, by the names of their flags.
    """

    number: int
    error: float
    finished: bool
    values: Mapping[str, Any]


class Flag(NamedTuple):
    """What is searched.

    Attributes:
        name: Of the flag.
        choices: Its alternatives, as texts; none of a range.
        ends: Of the range.
        log: Its scale is logarithmic.
        importance: Its share in what mattered, if that is known.
    """

    name: str
    choices: Sequence[str]
    ends: tuple[float, float] | None
    log: bool
    importance: float | None


def search(points: Sequence[Point], flags: Sequence[Flag], title: str, path: pathlib.Path) -> None:
    """Draw the errors over the trials, over each flag, and how much each flag mattered.

    Args:
        points: The trials, the best first.
        flags: What is searched.
        title: Text above it.
        path: The PNG file to write.
    """
    ordered = sorted(flags, key=lambda flag: -(flag.importance or 0))
    told = any(flag.importance is not None for flag in flags)
    count = 1 + told + len(flags)
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.6 * columns, 0.8 + 3.4 * rows), layout='constrained')
    titled(figure, title)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.remove()
    best = points[0] if points and points[0].finished else None
    _over_trials(axes[0], points, best)
    if told:
        _importances(axes[1], ordered)
    for flag, each in zip(ordered, axes[1 + told : count], strict=True):
        _over_flag(each, flag, points, best)
    for each in (axes[0], *axes[1 + told : count]):
        _scale_errors(each, [point.error for point in points])
    dot: dict[str, Any] = {'marker': 'o', 'linestyle': 'none'}
    handles = [
        Line2D([], [], color='tab:blue', label='finished', **dot),
        Line2D([], [], color='tab:gray', alpha=0.5, label='stopped', **dot),
    ]
    if best is not None:
        label = f'best: trial {best.number}, {best.error:.2f} %'
        handles.append(Line2D([], [], label=label, **dot, **_RING))
    figure.legend(handles=handles, loc='outside lower center', ncols=len(handles))
    png.write(figure, path)


def _scatter(
    axes: Axes, points: Sequence[Point], places: Sequence[float], best: Point | None
) -> None:
    """Draw the points, finished ones over the others, and a ring about the best."""
    for finished, colour, alpha in ((False, 'tab:gray', 0.5), (True, 'tab:blue', 0.9)):
        drawn = [
            (place, point.error)
            for place, point in zip(places, points, strict=True)
            if point.finished == finished
        ]
        if drawn:
            axes.plot(*zip(*drawn, strict=True), 'o', color=colour, alpha=alpha, markersize=6)
    if best is not None and best in points:
        axes.plot(places[points.index(best)], best.error, 'o', **_RING)
    axes.grid(alpha=0.3)


def _over_trials(axes: Axes, points: Sequence[Point], best: Point | None) -> None:
    _scatter(axes, points, [point.number for point in points], best)
    done = sorted((point.number, point.error) for point in points if point.finished)
    if done:
        numbers, errors = zip(*done, strict=True)
        lowest = np.minimum.accumulate(errors)
        last = max(point.number for point in points)
        axes.step((*numbers, last), (*lowest, lowest[-1]), where='post', color='tab:blue', lw=1)
    axes.set(title='course of the search', xlabel='trial')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _over_flag(axes: Axes, flag: Flag, points: Sequence[Point], best: Point | None) -> None:
    ours = [point for point in points if flag.name in point.values]
    if flag.ends is not None:
        places = [float(point.values[flag.name]) for point in ours]
        _scale_range(axes, *flag.ends, flag.log)
    else:
        places = _beside_each_other(flag, ours)
        names = [drawable(shortened(choice, 20)) for choice in flag.choices]
        axes.set_xticks(range(len(names)), names, parse_math=False)
        if sum(map(len, names)) > LETTERS:
            axes.tick_params('x', rotation=20)
        axes.set_xlim(-0.6, len(names) - 0.4)
    _scatter(axes, ours, places, best)
    share = '' if flag.importance is None else f' ({100 * flag.importance:.0f} %)'
    axes.set_title(f'{flag.name}{share}', parse_math=False)


def _beside_each_other(flag: Flag, points: Sequence[Point]) -> list[float]:
    """Return the place of each point about that of its alternative."""
    groups: dict[str, list[int]] = {choice: [] for choice in flag.choices}
    for point in sorted(points, key=lambda point: point.number):
        groups[point.values[flag.name]].append(point.number)
    places = []
    for point in points:
        group = groups[point.values[flag.name]]
        step = 2 * SPREAD / max(len(group) - 1, 1)
        offset = group.index(point.number) - (len(group) - 1) / 2
        places.append(flag.choices.index(point.values[flag.name]) + step * offset)
    return places


def _importances(axes: Axes, flags: Sequence[Flag]) -> None:
    known = [flag for flag in flags if flag.importance is not None][::-1]
    shares = [100 * (flag.importance or 0) for flag in known]
    axes.barh(range(len(known)), shares, color='tab:orange')
    axes.set_yticks(range(len(known)), [flag.name for flag in known], parse_math=False)
    axes.set(title='what mattered', xlabel='share (%)')
    axes.grid(alpha=0.3, axis='x')


def _scale_range(axes: Axes, low: float, high: float, log: bool) -> None:
    """Let the axis of a flag show its whole range."""
    if log:
        margin = (high / low) ** MARGIN
        axes.set_xscale('log')
        axes.set_xlim(low / margin, high * margin)
        axes.xaxis.set_major_formatter('{x:g}')
        axes.xaxis.set_minor_locator(NullLocator())
        if high <= 10 * low:  # there may be no power of ten in it
            axes.xaxis.set_major_locator(log_locator(low, high))
    else:
        margin = MARGIN * (high - low)
        axes.set_xlim(low - margin, high + margin)


def _scale_errors(axes: Axes, errors: Sequence[float]) -> None:
    """Let all axes of errors be the same."""
    axes.set_ylabel('validation error (%)')
    if not errors:
        return
    low, high = min(errors), max(errors)
    if low > 0 and high > LOG_FROM * low:
        margin = (high / low) ** MARGIN
        make_logarithmic(axes, low, high)
        axes.set_ylim(low / margin, high * margin)
    else:
        margin = MARGIN * (high - low or 1)
        axes.set_ylim(low - margin, high + margin)
