"""All that the other rooms draw with; they take it from the package, which loads it when used."""

from matplotlib.ticker import MaxNLocator

from chainer_cifar.figures.calibration import Part, reliability
from chainer_cifar.figures.heat import overlaid
from chainer_cifar.figures.plots import (
    MEASURES,
    PARTS,
    comparison,
    confusion,
    curves,
    limits,
    rate_test,
)
from chainer_cifar.figures.sheets import GALLERY, gallery, panels
from chainer_cifar.figures.ticks import log_locator
from chainer_cifar.figures.tiles import colours, image_sheet, own_range, resized, shrunk, tiled
from chainer_cifar.figures.trials import Flag, Point, search

__all__ = [
    'GALLERY',
    'MEASURES',
    'PARTS',
    'Flag',
    'MaxNLocator',
    'Part',
    'Point',
    'colours',
    'comparison',
    'confusion',
    'curves',
    'gallery',
    'image_sheet',
    'limits',
    'log_locator',
    'overlaid',
    'own_range',
    'panels',
    'rate_test',
    'reliability',
    'resized',
    'search',
    'shrunk',
    'tiled',
]
