"""Ticks of logarithmic axes, in the pictures and on the page of a report."""

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator


def log_locator(low: float, high: float) -> LogLocator:
    """Choose 1, 2 and 5 of each power of ten; from more than three decades the powers only.

    There, the labels of the others would overlap, and from nine on Matplotlib has no tick at all.
    """
    return LogLocator(subs=(1, 2, 5) if high <= 1000 * low else (1,))


def make_logarithmic(axes: Axes, low: float, high: float) -> None:
    """Make the scale of a picture from below to above logarithmic, for values in these limits."""
    axes.set_yscale('log')
    axes.yaxis.set_major_locator(log_locator(low, high))
    axes.yaxis.set_major_formatter('{x:g}')
    axes.yaxis.set_minor_locator(NullLocator())
