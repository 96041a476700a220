"""Every picture we draw."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from chainer_cifar.files import atomic_write


def image_sheet(images, path, columns=10):
    """Write `images` (N, 3, 32, 32), of any real dtype, as one PNG of tiles, `columns` wide.

    Each image is scaled to its own range, so that whitened ones can be seen.
    """
    images = np.asarray(images, np.float32)
    low = images.min(axis=(1, 2, 3), keepdims=True)
    spread = images.max(axis=(1, 2, 3), keepdims=True) - low
    tiles = (images - low) * (255 / np.where(spread > 0, spread, 1))
    count, _, height, width = images.shape
    gap = 2
    rows = -(-count // columns)
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, 3)
    sheet = np.full(shape, 255, np.uint8)
    for i, tile in enumerate(np.rint(tiles).astype(np.uint8)):
        top = gap + i // columns * (height + gap)
        left = gap + i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = tile.transpose(1, 2, 0)
    with atomic_write(path) as file:
        Image.fromarray(sheet).save(file, 'PNG')


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
    # Figure, not pyplot: needs no display and leaves nothing open.
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
    axes.set(title=title, xlabel='epoch', ylabel=label, ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format='png', dpi=120)
