"""Write a figure as a PNG file, whole or not at all."""

import os

from matplotlib.figure import Figure

from chainer_cifar.figures.texts import DPI
from chainer_cifar.files import atomic_write


def write(figure: Figure, path: str | os.PathLike[str], dpi: int = DPI) -> None:
    """Draw the figure into the file `path`, with so many pixels an inch."""
    with atomic_write(path) as file:
        figure.savefig(file, format='png', dpi=dpi)
