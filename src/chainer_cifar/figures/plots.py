"""Plots: curves of a run, confusion matrix. They use Figure, not pyplot, and need no display."""

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from chainer_cifar.figures import png
from chainer_cifar.figures.fonts import drawable
from chainer_cifar.figures.texts import DPI, shortened, titled, width
from chainer_cifar.figures.ticks import make_logarithmic

MOST_NAMED = 200  # classes in a confusion matrix


def curves(
    rows: Sequence[Mapping[str, float]],
    best: Mapping[str, float],
    title: str,
    folder: pathlib.Path,
) -> None:
    """Draw ``loss.png`` and ``error.png`` of a run into `folder`.

    Args:
        rows: The log (see training/log.py), one row for each epoch.
        best: The row that gives the result; a ring marks its test value.
        title: Text above the plot.
        folder: Where to write the files.
    """
    png.write(curve(rows, best, title, 'loss'), folder / 'loss.png')
    png.write(curve(rows, best, title, 'error'), folder / 'error.png')


# Styles of the lines. Test is broad and lies below valid, so that both show where they agree.
_STYLES: dict[str, dict[str, Any]] = {
    'train': {'color': 'tab:blue', 'linewidth': 1.5, 'markersize': 6},
    'valid': {'color': 'tab:orange', 'linewidth': 1.5, 'markersize': 5, 'linestyle': '--'},
    'test': {'color': 'tab:red', 'linewidth': 2.5, 'markersize': 10},
}
_ORDER = {'train': 2.1, 'test': 2.2, 'valid': 2.3}


def curve(
    rows: Sequence[Mapping[str, float]], best: Mapping[str, float], title: str, quantity: str
) -> Figure:
    """Draw the quantity ``loss`` or ``error``; for the other arguments see `curves`."""
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    titled(figure, title)
    axes = figure.add_subplot()
    epochs = np.array([row['epoch'] for row in rows])
    parts = [part for part in _STYLES if f'{part}_{quantity}' in best]
    values = np.array([[row[f'{part}_{quantity}'] for row in rows] for part in parts])
    result = best[f'test_{quantity}']
    if quantity == 'loss':
        label, shown = MEASURES[quantity], f'{result:.3f}'
        log, low, high = _axis(values, result)
    else:
        label, shown = MEASURES[quantity], f'{result:.2f} %'
        log, low, high = _linear(values.max())

    marker = '.' if len(rows) <= 50 else None
    for part, line in zip(parts, values, strict=True):
        axes.plot(epochs, line, label=part, marker=marker, zorder=_ORDER[part], **_STYLES[part])
    ring: dict[str, Any] = {
        'color': 'tab:red',
        'markersize': 12,
        'markerfacecolor': 'none',
        'zorder': 2.4,
    }
    legend = f'test, epoch {best["epoch"]}: {shown}'
    axes.plot(best['epoch'], result, 'o', linestyle='none', label=legend, **ring)

    above = values > high
    if above.any():
        where = epochs[above.any(axis=0)]
        legend = f'above, up to {values[above].max():.3g}'
        top = axes.get_xaxis_transform()
        axes.plot(where, np.full(len(where), 0.98), 'k^', transform=top, label=legend)

    axes.set(xlabel='epoch', ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(rows) == 1:
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    _scale(axes, log, low, high)
    axes.legend()
    return figure


# Of the picture of several runs: columns and rows.
PARTS, MEASURES = ('train', 'valid', 'test'), {'error': 'error (%)', 'loss': 'loss (cross-entropy)'}
# Of its legend: points, and inches.
LEGEND, LEGEND_LINE = 10, 0.22
MARKED = 15  # epochs of a curve whose points are marked; more would be a band
LINES = ('-', '--', ':', '-.')  # whole as long as there are colours

# Of an axis: is it logarithmic? And where it begins and ends.
Limits: TypeAlias = tuple[bool, float, float]
# Epochs, values, and their standard deviation over seeds or None.
Curve: TypeAlias = tuple[Sequence[float], Sequence[float], Sequence[float] | None]


def comparison(
    runs: Sequence[tuple[str, Mapping[str, Curve]]], path: str | os.PathLike[str]
) -> None:
    """Draw the curves of several runs into one picture: loss and error of train, valid and test.

    Args:
        runs: Names, and curves by names such as ``valid_error``. What a run does not have is
            missing.
        path: The PNG file to write.
    """
    shown = [part for part in PARTS if any(f'{part}_error' in curves for _, curves in runs)]
    wide = 0.8 + 4.4 * len(shown)
    names = [drawable(shortened(name)) for name, _ in runs]
    widest = max(width(name, LEGEND, DPI) / DPI for name in names) + 0.75  # inches; with its line
    columns = max(1, min(len(runs), 4, int((wide - 0.2) / widest)))
    below = LEGEND_LINE * max(0, -(-len(runs) // columns) - 3)  # of a long one
    figure = Figure(figsize=(wide, 7.5 + below), layout='constrained')
    axes = figure.subplots(len(MEASURES), len(shown), squeeze=False, sharex=True)
    styles = _styles(len(runs))
    for measure, line in zip(MEASURES, axes, strict=True):
        ends = []
        for part, each in zip(shown, line, strict=True):
            column = f'{part}_{measure}'
            drawn = [(i, curves[column]) for i, (_, curves) in enumerate(runs) if column in curves]
            for number, curve in drawn:
                _draw(each, *curve, styles[number])
            each.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            ends.append(limits(measure, [curve for _, curve in drawn]))
        for each, (log, low, high) in zip(line, _shared(ends), strict=True):
            _scale(each, log, low, high)
        line[0].set_ylabel(MEASURES[measure])
    for part, top, bottom in zip(shown, axes[0], axes[-1], strict=True):
        top.set_title(part)
        bottom.set_xlabel('epoch')
    handles = [Line2D([], [], **style) for style in styles]
    legend = figure.legend(
        handles, names, loc='outside lower center', ncols=columns, fontsize=LEGEND
    )
    for text in legend.get_texts():
        text.set_parse_math(False)  # a $ in a name is no formula
    png.write(figure, path)


def _styles(count: int) -> list[dict[str, Any]]:
    """Colour and line of so many runs: no two are alike, up to 80 of them."""
    colours = colormaps['tab10' if count <= 10 else 'tab20']
    return [
        {'color': colours(i % colours.N), 'linestyle': LINES[i // colours.N % len(LINES)]}
        for i in range(count)
    ]


def limits(measure: str, curves: Sequence[Curve]) -> Limits:
    """Tell whether the axis of some curves is logarithmic, and its limits.

    Args:
        measure: One of `MEASURES`.
        curves: Their bands are within the limits.
    """
    above = [np.add(values, 0 if sd is None else sd) for _, values, sd in curves]
    if measure == 'loss':
        return _axis(above)
    values = np.concatenate([*above, np.zeros(1)])
    return _linear(float(np.max(values[np.isfinite(values)])))


def _shared(ends: Sequence[Limits]) -> list[Limits]:
    """Join the limits of a row, so that its parts can be compared.

    Not if only some are logarithmic: tiny losses of training would leave no room to the others.
    """
    logs, lows, highs = zip(*ends, strict=True)
    if len(set(logs)) > 1:
        return [*ends]
    return [(logs[0], min(lows), max(highs))] * len(ends)


def _draw(
    axes: Axes,
    epochs: Sequence[float],
    values: Sequence[float],
    deviation: Sequence[float] | None,
    style: Mapping[str, Any],
) -> None:
    marker = '.' if len(epochs) <= MARKED else None
    axes.plot(epochs, values, marker=marker, linewidth=1.5, **style)
    if deviation is not None:
        low, high = (np.array(values) + sign * np.array(deviation) for sign in (-1, 1))
        axes.fill_between(epochs, low, high, color=style['color'], alpha=0.2, linewidth=0)


def _scale(axes: Axes, log: bool, low: float, high: float) -> None:
    if log:
        make_logarithmic(axes, low, high)
    axes.set_ylim(low, high)
    axes.grid(alpha=0.3)


def _linear(highest: float) -> Limits:
    """Return False (not logarithmic), and limits from 0 up that leave room for the markers."""
    highest = highest or 1.0
    return False, -0.025 * highest, 1.05 * highest


def _axis(curves: Iterable[NDArray[np.float64]], result: float = 0) -> Limits:
    """Choose whether the axis of the losses is logarithmic, and its limits.

    It is if the highest value is more than ten times the median, so that most values would lie in
    the lowest tenth. Values above 100 times the median, which the first epoch or a jump may bring,
    do not count: no axis that reaches 1e12 shows anything of the rest. That is the median of their
    own curve, since beside tiny losses of another run, usual ones are no jump.
    """
    found = [curve[np.isfinite(curve) & (curve > 0)] for curve in curves]
    positive = [values for values in found if values.size]
    typical = np.median(np.concatenate(positive)) if positive else 1.0
    capped = [values[values <= 100 * np.median(values)] for values in positive]
    shown = np.concatenate([*capped, [result if np.isfinite(result) else 0]])
    highest = shown.max()
    if highest <= 10 * typical:
        return _linear(highest)
    lowest = shown[shown > 0].min()
    margin = (highest / lowest) ** 0.05
    return True, lowest / margin, highest * margin


def rate_test(
    rows: Sequence[tuple[float, float]], suggested: float, title: str, path: pathlib.Path
) -> None:
    """Draw the loss over the learning rate.

    Args:
        rows: Pairs of a learning rate and the smoothed loss at it.
        suggested: The learning rate that is marked.
        title: Text above it.
        path: The PNG file.
    """
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    titled(figure, title)
    axes = figure.add_subplot()
    rates, losses = np.array(rows).T
    axes.plot(rates, losses, color='tab:blue', label='loss, smoothed')
    axes.axvline(suggested, color='tab:red', label=f'suggested: {suggested:.2g}')
    axes.set(xlabel='learning rate', ylabel=MEASURES['loss'], xscale='log')
    low, first = losses.min(), losses[0]
    axes.set_ylim(low - 0.1 * (first - low) - 0.01, first + 0.5 * (first - low) + 0.01)
    axes.grid(alpha=0.3)
    axes.legend()
    png.write(figure, path)


def confusion(
    matrix: Sequence[Sequence[int]], class_names: Sequence[str], title: str, path: pathlib.Path
) -> None:
    """Draw a confusion matrix; colours show shares of the true class, numbers show counts.

    Of more than `MOST_NAMED` classes, the axes tell the numbers, not the names.

    Args:
        matrix: K lists of K counts; rows are true classes, columns predicted ones.
        class_names: K names.
        title: Text above the matrix.
        path: The PNG file to write.
    """
    counts = np.array(matrix)
    class_names = [drawable(shortened(name)) for name in class_names]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(counts) <= 20  # more numbers would be too small to read
    font = 9 if few else 6
    named = len(counts) <= MOST_NAMED
    longest = max(width(name, font, DPI) / DPI for name in class_names) if named else 0  # inches
    size = 1.9 + (0.6 if few else 0.14) * min(len(counts), MOST_NAMED) + max(longest + 0.8, 1.1)
    figure = Figure(figsize=(size + 0.8, size), layout='constrained')
    titled(figure, title)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    if named:
        ticks = range(len(counts))
        axes.set_xticks(ticks, class_names, rotation=90, fontsize=font, parse_math=False)
        axes.set_yticks(ticks, class_names, fontsize=font, parse_math=False)
    axes.set(xlabel='predicted', ylabel='true')
    if few:
        for (row, column), count in np.ndenumerate(counts):
            color = 'white' if shares[row, column] > 0.5 else 'black'
            axes.text(column, row, count, ha='center', va='center', color=color, fontsize=8)
    figure.colorbar(image, label='share of the true class', shrink=0.8)
    png.write(figure, path)
