"""Draw pictures of what a net learned: filters, activations, mistakes, a training batch.

To add one, write a function here with ``@pictures.register('name')``. It takes a `NetAndData` and a
path, and either writes a PNG file there and returns True, or returns False: nothing to show. Add
its name to `runs.PICTURES`, too, since the file belongs to the run.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import chainer
import numpy as np
from chainer.backends import cuda
from numpy.typing import NDArray

from chainer_cifar import figures, initial
from chainer_cifar.arrays import Array
from chainer_cifar.data import augment, batches
from chainer_cifar.data.dataset import Dataset
from chainer_cifar.evaluation import image_sets, inference, layers, predictions
from chainer_cifar.evaluation.picture_files import Found
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.randomness import seed_all
from chainer_cifar.registry import Registry
from chainer_cifar.table import counted

# How many to show at most.
FILTERS = 256  # planes of filters, if these are not colours
MAPS = 64  # feature maps of a layer
IMAGES = 4  # images with their feature maps
MISTAKES = 40
BATCH = 64  # images of a batch

FILTER_SIZE = 48  # pixels
IMAGE_SIZE = 128  # of an image beside its feature maps
SMALL_SIZE = 64  # of an image of a batch
SHEET_SIZE = 360


class NetAndData:
    """A trained net, its data and its convolutions, which are found when first needed.

    Args:
        trained: The net.
        files: Pictures that the user gave, for those functions that draw something of them.
    """

    def __init__(self, trained: Trained, files: Sequence[Found] = ()) -> None:
        self.trained = trained
        self.files = files

    @functools.cached_property
    def data(self) -> Dataset:
        """The data that the run was trained on, or other data given for it."""
        return image_sets.load(self.trained)

    @functools.cached_property
    def test_logits(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """What the net says of the test images, float32 ``(N, K)``, and their labels."""
        images, index, labels = image_sets.choose(self.trained, self.data, 'test')
        return image_sets.logits(self.trained, images, index), labels

    @functools.cached_property
    def convolutions(self) -> list[str]:
        """The paths of the convolutions in the order in which an image passes them."""
        x = self.trained.device.send(np.zeros((1, *self.trained.input_transform.shape), np.float32))
        found = layers.convolutions(layers.trace(self.trained.net, x)[0])
        return [layer.path for layer in found]


pictures = Registry[Callable[[NetAndData, pathlib.Path], bool]]('picture')


@pictures.register('filters')
def filters(looked_at: NetAndData, path: pathlib.Path) -> bool:
    """Draw the first convolution's filters before and after training, each in its own range."""
    sheets = filter_sheets(looked_at)
    if not sheets:
        return False
    where = looked_at.convolutions[0]
    size = ' x '.join(map(str, _weights(looked_at.trained.net, where).shape))
    title = f'{looked_at.trained.config.prefix}: filters of {where}, {size}'
    figures.panels([sheets], path, title)
    return True


def filter_sheets(looked_at: NetAndData) -> list[tuple[str, NDArray[np.uint8]]]:
    """Make tiles of the filters, uint8 ``(H, W, 3)``, with captions; none if there are none."""
    trained = looked_at.trained
    if not looked_at.convolutions:
        return []
    where = looked_at.convolutions[0]
    shown = [('after training', _weights(trained.net, where))]
    # Weights that came from a file or from images do not follow from the seed.
    if not trained.config.init and not hasattr(trained.net, 'prepare'):
        net = initial.draw_net(
            trained.config, len(trained.class_names), trained.input_transform.shape, trained.device
        )
        shown.insert(0, ('before training', _weights(net, where)))
    return [(caption, _filter_sheet(weights)) for caption, weights in shown]


def _weights(net: chainer.Chain, path: str) -> NDArray[np.float32]:
    link = dict(net.namedlinks())[f'/{path}']
    found = [param.array for param in link.params() if param.ndim == 4]
    return cuda.to_cpu(found[0] if found else link.W)  # an array where it is not trained


def _filter_sheet(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    channels, height, width = weights.shape[1:]
    if channels != 3:
        weights = weights.reshape(-1, 1, height, width)[:FILTERS]
    columns = math.ceil(math.sqrt(len(weights)))
    zoom = max(1, FILTER_SIZE // width)
    return figures.tiled(figures.own_range(weights), columns, zoom)


@pictures.register('activations')
def activations(looked_at: NetAndData, path: pathlib.Path) -> bool:
    """Draw the output of the first, a middle and the last convolution for the first test images.

    All maps of one image and one convolution share one range.
    """
    trained, found = looked_at.trained, looked_at.convolutions
    if not found:
        return False
    paths = list(dict.fromkeys([found[0], found[len(found) // 2], found[-1]]))
    images, index, labels = image_sets.choose(trained, looked_at.data, 'test')
    places = image_sets.spread(np.arange(len(index)), IMAGES)
    index, labels = index[places], labels[places]
    (x, _), *_ = images.batches(index, IMAGES)
    outputs = layers.outputs(trained.net, x, paths)
    rows = []
    for i, image in enumerate(test_pictures(looked_at, index)):
        row = [
            (
                trained.class_names[labels[i]],
                figures.tiled(figures.resized(image[None], IMAGE_SIZE), 1),
            )
        ]
        for name, maps in zip(paths, outputs, strict=True):
            row.append((_map_caption(name, maps[i]), _map_sheet(maps[i])))
        rows.append(row)
    figures.panels(rows, path, f'{trained.config.prefix}: output of convolutions')
    return True


def _map_caption(name: str, maps: Array) -> str:
    shape = ' x '.join(map(str, maps.shape))
    return f'{name}: {shape}' + (f', the first {MAPS}' if len(maps) > MAPS else '')


def _map_sheet(maps: Array) -> NDArray[np.uint8]:
    step = math.ceil(max(maps.shape[1:]) / 32)  # leave out pixels of large maps
    maps = figures.own_range(maps[None, :MAPS, ::step, ::step]).swapaxes(0, 1)
    columns = math.ceil(math.sqrt(len(maps)))
    return figures.tiled(maps, columns, max(1, SHEET_SIZE // (columns * maps.shape[3])))


@pictures.register('mistakes')
def mistakes(looked_at: NetAndData, path: pathlib.Path) -> bool:
    """Draw the misclassified test images of whose wrong class the net is most sure."""
    found = surest_mistakes(looked_at)
    if not found.wrong:
        return False
    captions = [
        (predictions.guess(predicted, confidence), f'truth: {truth}')
        for predicted, confidence, truth in found.told
    ]
    title = (
        f'{looked_at.trained.config.prefix}: {found.wrong:,} of '
        f'{counted(found.total, "test image")} {"is" if found.wrong == 1 else "are"} '
        f'misclassified; the net is most sure of {"this" if found.wrong == 1 else "these"}'
    )
    figures.gallery(found.pictures, captions, path, title)
    return True


class Mistakes(NamedTuple):
    """Misclassified test images.

    Attributes:
        wrong: How many there are.
        total: Of how many test images.
        pictures: uint8 ``(N, 3, H, W)``, some of them.
        told: For each of those the predicted class, its probability (0 to 1), and the true class.
    """

    wrong: int
    total: int
    pictures: NDArray[np.uint8]
    told: list[tuple[str, float, str]]


def surest_mistakes(looked_at: NetAndData) -> Mistakes:
    """Find the misclassified test images of whose wrong class the net is most sure."""
    logits, labels = looked_at.test_logits
    logits = logits / looked_at.trained.temperature
    predicted = logits.argmax(axis=1)
    confidence = np.exp(inference.log_probabilities(logits).max(axis=1))
    wrong = surest(logits, labels)
    shown = wrong[:MISTAKES]
    names = looked_at.trained.class_names
    told = [(names[predicted[i]], float(confidence[i]), names[labels[i]]) for i in shown]
    return Mistakes(len(wrong), len(labels), test_pictures(looked_at, shown), told)


def surest(logits: Array, labels: Array) -> NDArray[np.intp]:
    """Return the places of misclassified images, those of which the net is most sure first."""
    confidence = inference.log_probabilities(logits).max(axis=1)
    wrong = np.flatnonzero(logits.argmax(axis=1) != labels)
    order: NDArray[np.intp] = wrong[np.argsort(-confidence[wrong], kind='stable')]
    return order


def test_pictures(looked_at: NetAndData, index: Array) -> NDArray[np.uint8]:
    """Return some of the test images as pictures, uint8 ``(N, 3, H, W)``."""
    return figures.colours(looked_at.data.test_images[index])


@pictures.register('batch')
def batch(looked_at: NetAndData, path: pathlib.Path) -> bool:
    """Draw the first training batch before and after augmentation, not normalized."""
    trained, data = looked_at.trained, looked_at.data
    # The batch size of the run: another may have been given for this command.
    size = trained.replaced.get('batch_size', trained.config.batch_size)
    config = dataclasses.replace(trained.config, batch_size=size)
    n_class = len(trained.class_names)
    drawn = initial.draw(config, data, trained.device)
    seed_all(config.seed, 0, trained.device)  # in the order of training
    examples = drawn.iterator.next()
    images = batches.DeviceImages(
        data.train_images, data.train_labels, trained.device, trained.input_transform.normalization
    )
    before = images.batch(examples)
    create = augment.create(config.augment, config.seed, n_class, trained.input_transform.black)
    changed, _ = create(images.xp, before, np.random)
    row = []
    for caption, values in (('images', before.x), (f'--augment {config.augment}', changed)):
        values = cuda.to_cpu(values)[:BATCH]
        if data.train_images.dtype == np.uint8:
            values = np.rint(values).clip(0, 255).astype(np.uint8)
        row.append(
            (caption, figures.tiled(figures.resized(figures.colours(values), SMALL_SIZE), 8))
        )
    same = data.checksum() == trained.data_checksum
    title = 'the first batch of training' if same else f'a batch of {config.dataset} as in training'
    figures.panels([row], path, f'{config.prefix}: {title}')
    return True
