"""Draw how confidence and accuracy go together (a reliability diagram)."""

import pathlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from chainer_cifar.figures import png
from chainer_cifar.figures.texts import titled

Values: TypeAlias = NDArray[np.float64]
# A part: its heading, and of each bin how many images, their confidence and accuracy, 0 to 1.
Part: TypeAlias = tuple[str, Sequence[int], Sequence[float], Sequence[float]]

FEW = 20  # images, whose accuracy may be 20 points off by chance


def reliability(parts: Sequence[Part], title: str, path: pathlib.Path) -> None:
    """Draw accuracy over confidence, and below which share of the images is so sure.

    Args:
        parts: One, or two side by side, as before and after scaling.
        title: Text above it.
        path: The PNG file to write.
    """
    figure = Figure(figsize=(max(4.4 * len(parts), 5.2), 5.6), layout='constrained')
    titled(figure, title)
    axes = figure.subplots(2, len(parts), squeeze=False, sharex=True, height_ratios=(3, 1))
    for (heading, *numbers), top, bottom in zip(parts, axes[0], axes[1], strict=True):
        _draw(top, bottom, *(np.array(each, np.float64) for each in numbers))
        top.set_title(heading, fontsize=10)
    axes[0][0].set_ylabel('accuracy (%)')
    axes[1][0].set_ylabel('images (%)')
    figure.legend(handles=_legend(axes[0][0]), loc='outside lower center', ncols=2, fontsize=8)
    png.write(figure, path)


# Bars of the accuracy, and of what is missing to the confidence or above it.
_BAR: dict[str, Any] = {'facecolor': 'tab:blue', 'edgecolor': 'white'}
_GAP: dict[str, Any] = {'facecolor': 'none', 'edgecolor': 'tab:red', 'hatch': '////'}
_FADED = 0.35


def _draw(top: Axes, bottom: Axes, images: Values, confidence: Values, accuracy: Values) -> None:
    """Draw one part."""
    step = 100 / len(images)
    middles = (np.arange(len(images)) + 0.5) * step
    few = images < FEW
    for some, alpha in ((few & (images > 0), _FADED), (~few, 1)):
        places, right, sure = middles[some], 100 * accuracy[some], 100 * confidence[some]
        top.bar(places, right, step, alpha=alpha, **_BAR)
        # Nothing hides where the bar ends, also if the net is more often right than sure.
        top.bar(places, sure - right, 0.9 * step, right, alpha=alpha, linewidth=0.8, **_GAP)
    top.plot([0, 100], [0, 100], color='black', linestyle='--', linewidth=1, label=_EVEN)
    top.set(ylim=(0, 100))
    shares = 100 * images / max(images.sum(), 1)
    bottom.bar(middles, shares, step, color='tab:gray', edgecolor='white')
    bottom.set(xlabel='confidence (%)', xlim=(0, 100), ylim=(0, 100))
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)


_EVEN = 'accuracy = confidence'


def _legend(axes: Axes) -> list[Artist]:
    """Make what the legend shows; the bars themselves are faded or not."""
    return [
        Patch(**_BAR, label='accuracy'),
        Patch(**_GAP, label='gap to the confidence'),
        Patch(**_BAR, alpha=_FADED, label=f'of fewer than {FEW} images'),
        *axes.lines,
    ]
