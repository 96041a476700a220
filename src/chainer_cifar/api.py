"""Use the toolkit from Python, as in a notebook: `fit` pictures, `load` a run, `predict`.

    from chainer_cifar import fit, load
    fit('PICTURES', minutes=5)
    load('PICTURES').predict(['a.jpg'])

Whatever is wrong with the input raises `errors.UserError` with the line that a command would print.
"""

import html
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from chainer_cifar import config, figures
from chainer_cifar.arrays import Array
from chainer_cifar.commands import fit as fit_command
from chainer_cifar.data import picture
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import predictions, trained
from chainer_cifar.evaluation.predictions import Row
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.pages.details import data_uri

# A file; an image of Pillow; or an array, uint8 (H, W), (H, W, 3) or (H, W, 4).
Picture: TypeAlias = str | os.PathLike[str] | Image.Image | Array


def fit(pictures: str | os.PathLike[str], **flags: Any) -> 'Classifier':
    """Do what ``fit.py PICTURES`` does, and load what comes of it.

    Args:
        pictures: A folder of class folders, or a CSV file.
        flags: As of the command: ``minutes=5, size=64, overwrite=True`` …; None and False leave
            one out.

    Raises:
        UserError: The pictures or a flag make no sense.
    """
    # Below ./ it is no flag, nor an @FILE, whatever its name begins with.
    words = [os.path.join(os.curdir, str(pictures))]
    for name, value in flags.items():
        if value is not None and value is not False:
            words += [f'--{name}'] if value is True else [f'--{name}={value}']
    fit_command.main(words, 'fit')
    return load(fit_command.parse(words, 'fit').name)


def load(run: str | os.PathLike[str], **flags: Any) -> 'Classifier':
    """Load the net of a run.

    Args:
        run: As RUN or models/RUN; or a file of weights.
        flags: Flags of the run to replace, such as ``gpu=0``.

    Raises:
        UserError: There is no such run, a file of it is damaged, or a flag makes no sense.
    """
    return Classifier(trained.load(run, config.typed(flags)))


class Classifier:
    """A trained net; a notebook shows its classes as a table.

    Attributes:
        trained: The net and its run.
    """

    def __init__(self, trained: Trained) -> None:
        self.trained = trained

    @property
    def classes(self) -> list[str]:
        """The names of the classes."""
        return self.trained.class_names

    def predict(self, pictures: Iterable[Picture] | Picture, top: int = 3) -> 'Predictions':
        """Name the most probable classes of each picture.

        Args:
            pictures: One, or several.
            top: How many classes.

        Raises:
            UserError: A picture cannot be read, or `top` is below 1.
        """
        if top < 1:
            raise UserError(f'top={top}: must be a number from 1 up')
        several = _several(pictures)
        transform = self.trained.input_transform
        images = np.empty((len(several), *transform.shape), np.uint8)
        for number, each in enumerate(several):
            images[number] = _read(each, transform.shape, transform.fit)
        names = [_name(each, number) for number, each in enumerate(several)]
        if not names:
            return Predictions([], images)
        logits = self.trained.scaled_logits(self.trained.inputs(images))
        return Predictions(predictions.rows(names, logits, self.classes, top), images)

    def __repr__(self) -> str:
        return f'<Classifier {self.trained.weights}: {len(self.classes)} classes>'

    def _repr_html_(self) -> str:
        shape = ' × '.join(map(str, self.trained.input_transform.shape))
        rows = [
            ('weights', str(self.trained.weights)),
            ('net', self.trained.config.model),
            ('images', shape),
            ('classes', ', '.join(self.classes)),
        ]
        cells = ''.join(
            f'<tr><th>{what}</th><td style="text-align:left">{html.escape(text)}</td></tr>'
            for what, text in rows
        )
        return f'<table>{cells}</table>'


class Predictions(Sequence[Row]):
    """What `Classifier.predict` found; a notebook shows it as a table with the pictures.

    Each item is a dictionary: ``image`` is the name, ``top`` a list of ``class`` and
    ``probability``.
    """

    def __init__(self, rows: list[Row], images: NDArray[np.uint8]) -> None:
        self.rows = rows
        self.images = images

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return Predictions(self.rows[place], self.images[place])
        return self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """The most probable class of each picture."""
        return [row['top'][0]['class'] for row in self.rows]

    @property
    def probabilities(self) -> list[float]:
        """That class's probability."""
        return [row['top'][0]['probability'] for row in self.rows]

    def __repr__(self) -> str:
        return predictions.table(self.rows) if self.rows else '<no pictures>'

    def _repr_html_(self) -> str:
        lines = []
        for row, image in zip(self.rows, figures.colours(self.images), strict=True):
            colours = np.repeat(image, 3 // len(image), axis=0).transpose(1, 2, 0)
            guesses = '<br>'.join(
                f'{html.escape(guess["class"])} {100 * guess["probability"]:.1f} %'
                for guess in row['top']
            )
            lines.append(
                f'<tr><td><img src="{data_uri(colours)}" width="64" alt=""></td>'
                f'<td style="text-align:left">{html.escape(row["image"])}</td>'
                f'<td style="text-align:left">{guesses}</td></tr>'
            )
        return f'<table>{"".join(lines)}</table>'


def _several(pictures: Any) -> list[Any]:
    """Make a list of one picture, or of several; an array of one dimension may hold paths."""
    one = isinstance(pictures, (str, os.PathLike, Image.Image))
    if one or (isinstance(pictures, np.ndarray) and pictures.ndim in (0, 2, 3)):
        return [pictures]
    if not isinstance(pictures, Iterable):
        raise UserError(f'{pictures!r}: {_NO_PICTURE}')
    return list(pictures)


_NO_PICTURE = 'no picture; give a path, an image of Pillow or an array'


def _read(each: Picture, shape: Any, how: str) -> NDArray[np.uint8]:
    if isinstance(each, (str, os.PathLike)):
        return picture.read(each, shape, how)
    if isinstance(each, np.ndarray):
        each = _image_of(each)
    if not isinstance(each, Image.Image):
        raise UserError(f'{each!r}: {_NO_PICTURE}')
    return picture.from_image(each, shape, how)


def _image_of(array: Array) -> Image.Image:
    try:
        # Pillow takes 32 bits, too, but nobody says how bright the brightest of them is.
        if not array.size or array.ndim not in (2, 3) or array.dtype not in _PIXELS:
            raise ValueError('not of this kind')
        return Image.fromarray(array)
    except (TypeError, ValueError) as error:
        raise UserError(
            f'an array of {array.dtype} {array.shape} is no picture ({error}); give uint8 (H, W, 3)'
        ) from None


_PIXELS = (np.uint8, np.uint16, np.bool_)


def _name(each: Picture, number: int) -> str:
    if isinstance(each, (str, os.PathLike)):
        return str(pathlib.Path(each))
    return str(getattr(each, 'filename', '') or f'picture {number + 1}')
