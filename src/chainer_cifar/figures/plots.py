"""Plots: curves of a run, confusion matrix. Figure, not pyplot: it needs no display."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from chainer_cifar.figures.fonts import drawable
from chainer_cifar.files import atomic_write


def curves(rows, best, title, folder):
    """Draw ``loss.png`` and ``error.png`` of a run into `folder`.

    Args:
        rows (list of dict): The log (see training/log.py), one row an epoch.
        best (dict): The row that gives the result; its test value is marked.
        title (str): Shown above.
        folder (pathlib.Path): Where to.
    """
    _write(curve(rows, best, title, 'loss'), folder / 'loss.png')
    _write(curve(rows, best, title, 'error'), folder / 'error.png')


# How each part is drawn. Test lies broad below valid, so that both are seen where they agree.
_STYLES = {
    'train': {'color': 'tab:blue', 'linewidth': 1.5, 'markersize': 6},
    'valid': {'color': 'tab:orange', 'linewidth': 1.5, 'markersize': 5, 'linestyle': '--'},
    'test': {'color': 'tab:red', 'linewidth': 2.5, 'markersize': 10},
}
_ORDER = {'train': 2.1, 'test': 2.2, 'valid': 2.3}


def curve(rows, best, title, quantity):
    """A figure of the ``loss`` or the ``error`` (`quantity`); the others as for `curves`."""
    title = drawable(title)  # first, since it may add a font
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.add_subplot()
    epochs = np.array([row['epoch'] for row in rows])
    parts = [part for part in _STYLES if f'{part}_{quantity}' in best]
    values = np.array([[row[f'{part}_{quantity}'] for row in rows] for part in parts])
    result = best[f'test_{quantity}']
    if quantity == 'loss':
        label, told, (log, low, high) = 'loss (nats)', f'{result:.3f}', _axis(values, result)
    else:
        label, told, (log, low, high) = 'error (%)', f'{result:.2f} %', _linear(values.max())

    marker = '.' if len(rows) <= 50 else None
    for part, line in zip(parts, values, strict=True):
        axes.plot(epochs, line, label=part, marker=marker, zorder=_ORDER[part], **_STYLES[part])
    told = f'test, epoch {best["epoch"]}: {told}'
    ring = {'color': 'tab:red', 'markersize': 12, 'markerfacecolor': 'none', 'zorder': 2.4}
    axes.plot(best['epoch'], result, 'o', linestyle='none', label=told, **ring)

    above = values > high
    if above.any():
        where = epochs[above.any(axis=0)]
        told = f'above, up to {values[above].max():.3g}'
        top = axes.get_xaxis_transform()
        axes.plot(where, np.full(len(where), 0.98), 'k^', transform=top, label=told)

    axes.set_title(title, parse_math=False)  # a $ in a name is no formula
    axes.set(xlabel='epoch', ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(rows) == 1:
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    if log:
        axes.set_yscale('log')
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter('{x:g}')
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(low, high)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def _linear(highest):
    # From zero, with room for the markers.
    highest = highest or 1.0
    return False, -0.025 * highest, 1.05 * highest


def _axis(values, result):
    """Whether the axis of the loss is logarithmic, and its limits.

    It is where the highest is more than ten times the median, so that most values would lie in the
    lowest tenth. What is 100 times the median, as the first epoch or a jump may bring, is left
    out: beside 1e12 no course is to be seen on any axis.
    """
    positive = values[np.isfinite(values) & (values > 0)]
    typical = np.median(positive) if positive.size else 1.0
    shown = np.append(positive[positive <= 100 * typical], result if np.isfinite(result) else [])
    highest = shown.max(initial=0)
    if highest <= 10 * typical:
        return _linear(highest)
    lowest = shown[shown > 0].min()
    margin = (highest / lowest) ** 0.05
    return True, lowest / margin, highest * margin


def rate_test(rows, suggested, title, path):
    """Draw the loss over the learning rate.

    Args:
        rows (list): Pairs of a learning rate and the smoothed loss at it.
        suggested (float): The learning rate that is marked.
        title (str): Shown above.
        path (pathlib.Path): The PNG file.
    """
    title = drawable(title)
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.add_subplot()
    rates, losses = np.array(rows).T
    axes.plot(rates, losses, color='tab:blue', label='loss, smoothed')
    axes.axvline(suggested, color='tab:red', label=f'suggested: {suggested:.2g}')
    axes.set_title(title, parse_math=False)
    axes.set(xlabel='learning rate', ylabel='loss (nats)', xscale='log')
    low, first = losses.min(), losses[0]
    axes.set_ylim(low - 0.1 * (first - low) - 0.01, first + 0.5 * (first - low) + 0.01)
    axes.grid(alpha=0.3)
    axes.legend()
    _write(figure, path)


def confusion(matrix, class_names, title, path):
    """Draw a confusion matrix; the colour is the share of the true class, the number the count.

    Args:
        matrix (list): K lists of K counts; rows are true classes, columns predicted ones.
        class_names (list of str): K of them.
        title (str): Shown above.
        path (pathlib.Path): The PNG file.
    """
    counts = np.array(matrix)
    title, *class_names = map(drawable, (title, *class_names))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    few = len(counts) <= 20  # only so many numbers can be read
    size = 3 + (0.6 if few else 0.14) * len(counts)
    figure = Figure(figsize=(size + 0.8, size), layout='constrained')
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    ticks, font = range(len(counts)), 9 if few else 6
    axes.set_xticks(ticks, class_names, rotation=90, fontsize=font, parse_math=False)
    axes.set_yticks(ticks, class_names, fontsize=font, parse_math=False)
    axes.set_title(title, parse_math=False)
    axes.set(xlabel='predicted', ylabel='true')
    if few:
        for (row, column), count in np.ndenumerate(counts):
            color = 'white' if shares[row, column] > 0.5 else 'black'
            axes.text(column, row, count, ha='center', va='center', color=color, fontsize=8)
    figure.colorbar(image, label='share of the true class', shrink=0.8)
    _write(figure, path)


def _write(figure, path):
    with atomic_write(path) as file:
        figure.savefig(file, format='png', dpi=120)
