"""Find the training pictures that are most similar to another, as the net sees them.

Two pictures are compared by what the last layer takes, which holds all that the net decides by: by
the cosine of the angle between the two.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainer_cifar import figures
from chainer_cifar.arrays import Array
from chainer_cifar.data import store
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import image_sets, layers, raw_pictures
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.streams import progress_bar

MOST = 50_000  # training pictures that are compared; of more, so many are drawn
_BLOCK = 4096  # of them at a time


class Similar(NamedTuple):
    """A training picture.

    Attributes:
        picture: uint8 ``(3, H, W)``.
        label: The number of its class.
        similarity: From -1 to 1; 1 is what the net cannot tell apart.
    """

    picture: NDArray[np.uint8]
    label: int
    similarity: float


class SimilarPictures:
    """The training pictures of a run, once `look_through` has seen them all.

    Attributes:
        done: Which share of them it has seen, 0 to 1.
        ready: Whether `find` can be asked.
        problem: Why there are none; empty if nothing is wrong.
    """

    def __init__(self, trained: Trained) -> None:
        self.done = 0.0
        self.ready = False
        self.problem = ''
        self._trained = trained
        self._layer = ''
        self._pictures: store.Images
        self._features: NDArray[np.float16]  # (N, D), each of length 1
        self._index: image_sets.Index
        self._labels: image_sets.Labels

    def look_through(self) -> Iterator[None]:
        """Compute what the last layer takes of each; yield after each part, so that one can pause.

        What is wrong with the data raises no error; see `problem`. A bar shows the progress.
        """
        try:
            yield from self._look_through()
        except (UserError, OSError, MemoryError) as error:
            self.problem = str(error) or 'out of memory'
        except Exception:
            self.problem = "an error of ours, which the server's terminal tells"
            raise

    def find(self, x: Array, count: int) -> list[Similar]:
        """Find the `count` pictures that are most similar to one, the most similar one first.

        Args:
            x: The picture as the net takes it, float32 ``(1, C, H, W)``, on its device.
            count: How many; less if there are less.
        """
        wanted = self._compute(x)[0]
        angles = np.concatenate(
            [
                self._features[start : start + _BLOCK].astype(np.float32) @ wanted
                for start in range(0, len(self._features), _BLOCK)
            ]
        )
        best = np.argsort(-angles, kind='stable')[:count]
        pictures = figures.colours(np.asarray(self._pictures[self._index[best]]))
        return [
            Similar(picture, int(self._labels[place]), float(angles[place].clip(-1, 1)))
            for picture, place in zip(pictures, best, strict=True)
        ]

    def _look_through(self) -> Iterator[None]:
        trained = self._trained
        self._layer = _last_layer(trained)
        data = image_sets.load(trained)
        yield
        images, index, labels = image_sets.choose(trained, data, 'train')  # reads all of it once
        index, labels = index[:MOST], labels[:MOST]  # in an order that was drawn
        yield
        self._pictures = _pictures(trained, data)
        yield
        self._index, self._labels = index, labels
        with progress_bar('similar pictures', len(index)) as bar:
            start = 0
            for x, _ in images.batches(index, trained.config.batch_size):
                features = self._compute(x)
                if not start:
                    self._features = np.empty((len(index), features.shape[1]), np.float16)
                self._features[start : start + len(x)] = features
                start += len(x)
                self.done = start / len(index)
                bar.update(len(x))
                yield
        self.ready = True

    def _compute(self, x: Array) -> NDArray[np.float32]:
        """Return what the last layer takes of each picture, scaled to the length 1, ``(B, D)``."""
        features = layers.inputs(self._trained.net, x, self._layer).reshape(len(x), -1)
        length = np.sqrt((features**2).sum(axis=1, keepdims=True, dtype=np.float32))
        features /= np.where(length > 0, length, np.float32(1))
        return features


def _last_layer(trained: Trained) -> str:
    x = trained.device.send(np.zeros((1, *trained.input_transform.shape), np.float32))
    found, _ = layers.trace(trained.net, x)
    computing = [layer for layer in found if layer.is_link and layer.multiply_adds]
    if not computing:
        raise UserError(f'{trained.weights} does not show its layers; give the run')
    return computing[-1].path


def _pictures(trained: Trained, data: Dataset) -> store.Images:
    try:
        return raw_pictures.of(trained, data).train_images
    except UserError:
        return data.train_images  # each is scaled to its own range when it is shown
