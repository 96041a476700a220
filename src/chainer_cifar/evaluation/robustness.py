"""Measure how much worse a net gets on spoilt pictures (corruptions.py); tables of it."""

import pathlib
from collections.abc import Callable, Iterator
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import figures
from chainer_cifar.arrays import Array
from chainer_cifar.evaluation import image_sets, inference
from chainer_cifar.evaluation.corruptions import STRENGTHS, corrupt, corruptions
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.table import aligned

SIDE = 96  # pixels of a picture in a sheet
SHOWN = 3  # pictures for each corruption and strength in a sheet


class Robustness(TypedDict):
    """Errors in percent."""

    clean_error: float  # on the pictures as they are
    corrupted_error: float  # mean over all corruptions and strengths
    by_strength: list[float]  # mean over all corruptions
    by_corruption: dict[str, list[float]]  # for each of the five strengths


def measure(
    trained: Trained,
    pictures: NDArray[np.uint8],
    labels: NDArray[np.int32],
    advance: Callable[[int], object] = lambda n: None,
) -> Robustness:
    """Classify the pictures as they are, then with each corruption and strength.

    Args:
        trained: The net, and how it treats pictures.
        pictures: uint8 ``(N, C, H, W)``.
        labels: integers ``(N,)``.
        advance: Called with the number of pictures after each batch, `rounds` x N in all.
    """
    size = trained.config.batch_size

    def error(name: str = '', strength: int = 0) -> float:
        def batches() -> Iterator[Array]:
            for start in range(0, len(pictures), size):
                some = pictures[start : start + size]
                if name:
                    some = corrupt(some, name, strength, start)
                yield trained.device.send(trained.input_transform(some))

        logits = inference.logits(trained.net, batches(), advance=advance)
        return 100 * float((logits.argmax(axis=1) != labels).mean())

    clean = error()
    table = {
        name: [error(name, strength) for strength in range(1, STRENGTHS + 1)]
        for name in corruptions
    }
    every = np.array(list(table.values()))
    return {
        'clean_error': clean,
        'corrupted_error': float(every.mean()),
        'by_strength': every.mean(axis=0).tolist(),
        'by_corruption': table,
    }


def rounds() -> int:
    """Return how often `measure` classifies every picture."""
    return 1 + STRENGTHS * len(corruptions)


def text(found: Robustness) -> str:
    """Write the errors as a table, the clean ones and the mean first."""
    heading = ['error (%)', *(f'strength {s}' for s in range(1, STRENGTHS + 1)), 'mean']
    rows = [heading]
    means = ('all corruptions', found['by_strength'])
    for name, errors in (means, *found['by_corruption'].items()):
        cells = [f'{error:.2f}' for error in (*errors, float(np.mean(errors)))]
        rows.append([name, *cells])
    return (
        f'error {found["clean_error"]:.2f} % without corruption, '
        f'{found["corrupted_error"]:.2f} % with, the mean over {len(found["by_corruption"])} '
        f'kinds and {STRENGTHS} strengths\n\n{aligned(rows, 1)}'
    )


def draw(found: Robustness, pictures: NDArray[np.uint8], title: str, path: pathlib.Path) -> None:
    """Draw some pictures with every corruption and strength, and the error at each.

    Args:
        found: What `measure` gave for these pictures.
        pictures: uint8 ``(N, C, H, W)``.
        title: Text above.
        path: The PNG file to write.
    """
    some = pictures[image_sets.spread(np.arange(len(pictures)), SHOWN)]
    rows = []
    for name, errors in found['by_corruption'].items():
        row = [(f'{name}: none {found["clean_error"]:.1f} %', _tiled(some))]
        for strength, error in enumerate(errors, 1):
            row.append((f'{strength}: {error:.1f} %', _tiled(corrupt(some, name, strength))))
        rows.append(row)
    figures.panels(rows, path, title)


def _tiled(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return figures.tiled(figures.resized(pictures, SIDE), SHOWN)
