"""Ticks of logarithmic axes, in the pictures and on the page of a report."""

from matplotlib.ticker import LogLocator


def log_locator(low: float, high: float) -> LogLocator:
    """Choose 1, 2 and 5 of each power of ten; from more than three decades the powers only.

    There, the labels of the others would overlap, and from nine on Matplotlib has no tick at all.
    """
    return LogLocator(subs=(1, 2, 5) if high <= 1000 * low else (1,))
