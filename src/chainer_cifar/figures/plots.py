"""Plots: curves of a run, confusion matrix. Figure, not pyplot: it needs no display."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from chainer_cifar.files import atomic_write


def curves(rows, best, title, folder):
    """Draw ``loss.png`` and ``error.png`` of a run into `folder`.

    Args:
        rows (list of dict): The log (see training/log.py), one row an epoch.
        best (dict): The row that gives the result; its test value is marked.
        title (str): Shown above.
        folder (pathlib.Path): Where to.
    """
    _curve(rows, best, title, 'loss', 'loss (nats)', '{:.3f}', folder / 'loss.png')
    _curve(rows, best, title, 'error', 'error (%)', '{:.2f} %', folder / 'error.png')


def _curve(rows, best, title, quantity, label, number, path):
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.add_subplot()
    epochs = [row['epoch'] for row in rows]
    marker = '.' if len(rows) <= 50 else None
    for part, color in (('train', 'tab:blue'), ('valid', 'tab:orange'), ('test', 'tab:red')):
        key = f'{part}_{quantity}'
        if key in best:
            axes.plot(epochs, [row[key] for row in rows], color=color, label=part, marker=marker)
    value = best[f'test_{quantity}']
    result = f'test, epoch {best["epoch"]}: {number.format(value)}'
    axes.plot(best['epoch'], value, 'o', color='tab:red', ms=9, mfc='none', label=result)
    axes.set_title(title, parse_math=False)  # a $ in a name is no formula
    axes.set(xlabel='epoch', ylabel=label, ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
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
