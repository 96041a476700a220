"""Draw how confidence and accuracy go together (a reliability diagram)."""

import pathlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from chainer_cifar.figures.texts import DPI, titled
from chainer_cifar.files import atomic_write

Values: TypeAlias = NDArray[np.float64]
# A part: its heading, and of each bin the share of images, their confidence and accuracy, 0 to 1.
Part: TypeAlias = tuple[str, Sequence[float], Sequence[float], Sequence[float]]


def reliability(parts: Sequence[Part], title: str, path: pathlib.Path) -> None:
    """Draw accuracy over confidence, and below how many images are so sure.

    Args:
        parts: One, or two side by side, as before and after scaling.
        title: Text above it.
        path: The PNG file to write.
    """
    figure = Figure(figsize=(max(4.4 * len(parts), 5.2), 5.6), layout='constrained')
    titled(figure, title)
    axes = figure.subplots(2, len(parts), squeeze=False, sharex=True, height_ratios=(3, 1))
    for (heading, images, confidence, accuracy), top, bottom in zip(
        parts, axes[0], axes[1], strict=True
    ):
        _draw(top, np.array(images), np.array(confidence), np.array(accuracy))
        top.set_title(heading, fontsize=10)
        width = 100 / len(images)
        middles = (np.arange(len(images)) + 0.5) * width
        bottom.bar(middles, 100 * np.array(images), width, color='tab:gray', edgecolor='white')
        bottom.set(xlabel='confidence (%)', xlim=(0, 100), ylim=(0, 100))
        bottom.grid(alpha=0.3)
    axes[0][0].set_ylabel('accuracy (%)')
    axes[1][0].set_ylabel('images (%)')
    axes[0][0].legend(loc='upper left', fontsize=8)
    with atomic_write(path) as file:
        figure.savefig(file, format='png', dpi=DPI)


def _draw(axes: Axes, images: Values, confidence: Values, accuracy: Values) -> None:
    width = 100 / len(images)
    middles = (np.arange(len(images)) + 0.5) * width
    some = images > 0
    bars: dict[str, Any] = {'width': width, 'edgecolor': 'white'}
    axes.bar(middles[some], 100 * accuracy[some], color='tab:blue', label='accuracy', **bars)
    gap = 100 * (confidence - accuracy)[some]
    axes.bar(
        middles[some],
        gap,
        width,
        100 * accuracy[some],
        color='tab:red',
        alpha=0.35,
        edgecolor='tab:red',
        label='gap to the confidence',
    )
    axes.plot([0, 100], [0, 100], color='black', linestyle='--', linewidth=1, label='as it says')
    axes.set(ylim=(0, 100))
    axes.grid(alpha=0.3)
