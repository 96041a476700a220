"""What a report tells of all folds of a cross-validation together: see out_of_fold.py."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from chainer_cifar import figures
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import image_sets, inference, out_of_fold, report, suspects, trained
from chainer_cifar.evaluation.history import History, SeveralSeeds
from chainer_cifar.pages.details import Matrix, matrix_of, thumbnails
from chainer_cifar.runs import CONFIG
from chainer_cifar.streams import printable


class Suspect(NamedTuple):
    """A picture whose label may be wrong: as data URI, with its size on the page."""

    picture: str
    width: int
    height: int
    name: str
    given: str
    suggested: str


@dataclasses.dataclass(frozen=True)
class Folds:
    """Plain values for page.html.

    Attributes:
        run: The run.
        notes: Lines on what is missing.
        numbers: Of all training images; None if the folds were not put together yet.
        matrix: Its confusion matrix; None if it has no numbers.
        total: How many images there are.
        suspects: The most doubtful ones.
        suspects_count: How many there are.
    """

    run: SeveralSeeds
    notes: list[str]
    numbers: report.Report | None = None
    matrix: Matrix | None = None
    total: int = 0
    suspects: list[Suspect] = dataclasses.field(default_factory=list)
    suspects_count: int = 0


def find(run: History | SeveralSeeds, flags: dict[str, Any]) -> Folds | None:
    """Gather it; None of a run that is no cross-validation, or is not finished.

    Args:
        run: Read by history.py.
        flags: Flags of `TrainConfig` that replace those of the run, such as ``gpu``.
    """
    if not isinstance(run, SeveralSeeds) or run.kind != 'fold' or not run.finished:
        return None
    first = run.histories[0]
    names = [str(name) for name in first.description.get('classes') or ()]
    if not names:
        return Folds(run, [f'{first.folder.results / CONFIG}: does not name the classes'])
    try:
        logits, labels = out_of_fold.read(run, len(names))
    except FileNotFoundError:
        return None
    except UserError as error:
        return Folds(run, [str(error)])
    numbers = report.measure(logits, labels, names)
    found = suspects.find(np.exp(inference.log_probabilities(logits)), labels)
    notes, shown = [], []
    try:
        shown = _pictures(run, found, labels, names, flags)
    except UserError as error:
        notes.append(f'Pictures whose label may be wrong cannot be shown: {error}')
    matrix = matrix_of(numbers['confusion'], names)
    return Folds(run, notes, numbers, matrix, len(labels), shown, len(found.places))


def _pictures(
    run: SeveralSeeds,
    found: suspects.Suspects,
    labels: suspects.Labels,
    names: list[str],
    flags: dict[str, Any],
) -> list[Suspect]:
    if not len(found.places):
        return []
    data = image_sets.load(trained.load(str(run.histories[0].folder.weights), flags))
    if not np.array_equal(data.train_labels, labels):
        raise UserError(f'{run.name}: the folds are of other data')
    files = out_of_fold.names_of(run, data)
    places = found.places[: suspects.SHOWN]
    shown = thumbnails(figures.colours(np.asarray(data.train_images[places])))
    return [
        Suspect(
            *thumbnail,
            printable(files[place].rpartition('/')[2]),
            names[labels[place]],
            names[other],
        )
        for thumbnail, place, other in zip(shown, places, found.suggested, strict=False)
    ]
