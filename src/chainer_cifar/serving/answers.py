"""What the server says of pictures, as plain values for JSON. It knows nothing of HTTP."""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import chainer_cifar
from chainer_cifar import figures
from chainer_cifar.arrays import Array
from chainer_cifar.data import picture
from chainer_cifar.data.picture import Content
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import heat_maps, inference, picture_files, predictions
from chainer_cifar.evaluation.predictions import Row
from chainer_cifar.evaluation.similar import SimilarPictures
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.pages.details import data_uri
from chainer_cifar.streams import tell

SIDE = 192  # pixels of a picture in an answer, about


class NoPicture(UserError):
    """What was sent cannot be read as a picture."""


class Settings(NamedTuple):
    """What the user of the command chose.

    Attributes:
        top: How many classes to list.
        reject: The answer is `predictions.UNKNOWN` if no class has this probability.
        tta: A name in `inference.views`.
        similar: How many similar training pictures to show; 0: none.
    """

    top: int
    reject: float
    tta: str
    similar: int


class Answers:
    """A trained net and what it is asked. One thread asks at a time; `about` any.

    Args:
        trained: The net.
        settings: See there.
    """

    def __init__(self, trained: Trained, settings: Settings) -> None:
        self.trained = trained
        self.settings = settings
        self._similar = SimilarPictures(trained) if settings.similar else None

    def look_through(self) -> Generator[None, None, None]:
        """Look through the training pictures a step at a time; tell it if they cannot be used."""
        if self._similar is None:
            return
        yield from self._similar.look_through()
        if self._similar.problem:
            tell(f'warning: no similar training pictures are shown: {self._similar.problem}')

    def about(self) -> dict[str, Any]:
        """Tell which net this is and what it does."""
        channels, height, width = self.trained.input_transform.shape
        return {
            'version': chainer_cifar.__version__,
            'run': self.trained.config.prefix,
            'weights': self.trained.weights.name,
            'net': self.trained.config.model,
            'classes': self.trained.class_names,
            'image': {'channels': channels, 'height': height, 'width': width},
            'fit': self.trained.input_transform.fit,
            'temperature': self.trained.temperature,
            **self.settings._asdict(),
            'similar': self._state(),
            'formats': picture.formats(),
        }

    def _state(self) -> dict[str, Any]:
        """Tell how far the similar pictures are: off, looking, ready or missing."""
        found = self._similar
        if found is None:
            return {'state': 'off', 'count': 0, 'done': 0.0, 'reason': ''}
        state = 'missing' if found.problem else 'ready' if found.ready else 'looking'
        count, done = self.settings.similar, round(found.done, 3)
        return {'state': state, 'count': count, 'done': done, 'reason': found.problem}

    def predict(self, contents: Sequence[Content], top: int) -> list[Row]:
        """Name the most probable classes of each picture, as ``predict.py --format json`` does.

        Raises:
            NoPicture: One cannot be read.
            UserError: The net gives no numbers.
        """
        x = self._send(np.stack([self._read(content) for content in contents]))
        names = [str(content) for content in contents]
        classes = self.trained.class_names
        return predictions.rows(names, self._logits(x), classes, top, reject=self.settings.reject)

    def explain(self, content: Content, of_class: int | None) -> dict[str, Any]:
        """Show a picture as the net sees it, where it looks, and similar training pictures.

        Args:
            content: The picture.
            of_class: The number of the class that the maps speak for; None: the most probable one.

        Raises:
            NoPicture: It cannot be read.
            UserError: The net gives no numbers.
        """
        names = self.trained.class_names
        image = self._read(content)
        x = self._send(image[None])
        logits = self._logits(x)
        number = int(logits[0].argmax()) if of_class is None else of_class
        shown = figures.colours(image[None])[0]
        return {
            'image': str(content),
            'class': names[number],
            'probability': float(np.exp(inference.log_probabilities(logits))[0, number]),
            'seen': _as_uri(shown),
            'maps': self._maps(x, shown, number),
            'similar': self._alike(x),
        }

    def _maps(self, x: Array, shown: NDArray[np.uint8], number: int) -> list[dict[str, Any]]:
        maps: list[dict[str, Any]] = []
        zoom = max(1, SIDE // max(shown.shape[1:]))
        heat = heat_maps.grad_cam(self.trained.net, x, [number])
        if heat is not None:
            found = data_uri(figures.overlaid(shown, heat[0], zoom))
            maps.append({'kind': 'grad_cam', 'picture': found})
        falls = heat_maps.occlusion(self._logits, x, [number])
        found = data_uri(figures.overlaid(shown, heat_maps.relative(falls)[0], zoom))
        maps.append({'kind': 'covered', 'picture': found, 'falls': max(0.0, float(falls.max()))})
        return maps

    def _alike(self, x: Array) -> list[dict[str, Any]]:
        if self._similar is None or not self._similar.ready:
            return []
        return [
            {
                'class': self.trained.class_names[each.label],
                'similarity': each.similarity,
                'picture': _as_uri(each.picture),
            }
            for each in self._similar.find(x, self.settings.similar)
        ]

    def _read(self, content: Content) -> NDArray[np.uint8]:
        transform = self.trained.input_transform
        try:
            return picture_files.read(content, transform.shape, transform.fit)
        except UserError as error:
            raise NoPicture(str(error)) from None

    def _send(self, pictures: NDArray[np.uint8]) -> Array:
        return self.trained.device.send(self.trained.input_transform(pictures))

    def _logits(self, x: Array) -> NDArray[np.float32]:
        return self.trained.scaled_logits([x], self.settings.tta)


def _as_uri(shown: NDArray[np.uint8]) -> str:
    return data_uri(figures.shrunk(shown[None], SIDE)[0].transpose(1, 2, 0))
