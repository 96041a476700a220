"""Draw how confidence and accuracy go together (a reliability diagram)."""

import pathlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from chainer_cifar.figures import png
from chainer_cifar.figures.texts import titled

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
    for (heading, *numbers), top, bottom in zip(parts, axes[0], axes[1], strict=True):
        _draw(top, bottom, *(100 * np.array(each) for each in numbers))
        top.set_title(heading, fontsize=10)
    axes[0][0].set_ylabel('accuracy (%)')
    axes[1][0].set_ylabel('images (%)')
    axes[0][0].legend(loc='upper left', fontsize=8)
    png.write(figure, path)


def _draw(top: Axes, bottom: Axes, images: Values, confidence: Values, accuracy: Values) -> None:
    """Draw one part; all values are in percent."""
    width = 100 / len(images)
    middles = (np.arange(len(images)) + 0.5) * width
    some = images > 0
    bars: dict[str, Any] = {'width': width, 'edgecolor': 'white'}
    top.bar(middles[some], accuracy[some], color='tab:blue', label='accuracy', **bars)
    top.bar(
        middles[some],
        (confidence - accuracy)[some],
        width,
        accuracy[some],
        color='tab:red',
        alpha=0.35,
        edgecolor='tab:red',
        label='gap to the confidence',
    )
    top.plot([0, 100], [0, 100], color='black', linestyle='--', linewidth=1, label='as it says')
    top.set(ylim=(0, 100))
    top.grid(alpha=0.3)
    bottom.bar(middles, images, color='tab:gray', **bars)
    bottom.set(xlabel='confidence (%)', xlim=(0, 100), ylim=(0, 100))
    bottom.grid(alpha=0.3)
