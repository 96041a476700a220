"""Where a net looks: Grad-CAM and occlusion maps.

Selvaraju et al., Grad-CAM, 2017: the last maps of the net, each weighted by how much the logit of a
class grows with it. Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2014:
how much the probability of the class falls when a patch of the picture is covered.
"""

import pathlib
from collections.abc import Callable, Iterator, Sequence

import chainer
import chainer.functions as F
import numpy as np
from chainer.backends import cuda
from chainer.functions.array.pad import Pad
from numpy.typing import ArrayLike, NDArray

import chainer_onednn
from chainer_cifar import figures
from chainer_cifar.arrays import Array
from chainer_cifar.evaluation import image_sets, inference, picture_files, pictures, predictions
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.streams import printable

NAME = 'cam'  # of the picture

SHOWN = 10  # mistakes
LEAST = 0.005  # by which a probability must fall to be shown
COVERED = 4  # a patch covers one part in so many of the picture's width
SIDE = 128  # pixels of a picture on the sheet; larger ones stay as they are


def grad_cam(net: chainer.Chain, x: Array, classes: ArrayLike) -> NDArray[np.float32] | None:
    """Compute what speaks for a class in each picture.

    Args:
        net: The net.
        x: Pictures as the net takes them, float32 ``(N, 3, H, W)``, on its device.
        classes: The number of a class for each.

    Returns:
        Maps ``(N, h, w)``, each from 0 to 1, or 0 where nothing speaks for the class; None if the
        net has no maps that are larger than a pixel.
    """
    hook = _LastMaps()
    # The CPU engine works in place and joins functions.
    with chainer_onednn.disable(), chainer.using_config('train', False):
        with hook:  # not while it goes back, which calls functions, too
            logits = net(chainer.Variable(x))
        if hook.function is None:
            return None
        chosen = F.sum(F.select_item(logits, net.xp.asarray(classes, dtype=np.int32)))
        (slope,) = chainer.grad([chosen], [hook.function.inputs[0].get_variable()])
    gradient = cuda.to_cpu(slope.array)
    weights = gradient.mean(axis=(2, 3), keepdims=True)
    heat = np.maximum((weights * cuda.to_cpu(hook.maps)).sum(axis=1), 0)
    most = heat.max(axis=(1, 2), keepdims=True)
    scaled: NDArray[np.float32] = heat / np.where(most > 0, most, 1)
    return scaled


def occlusion(
    logits: Callable[[Array], NDArray[np.float32]], x: Array, classes: ArrayLike
) -> NDArray[np.float32]:
    """Compute how much the probability of a class falls when parts of a picture are covered.

    A square, a quarter of the picture wide, moves by half its width. It has the picture's mean
    colour. A pixel gets the mean over the squares that cover it.

    Args:
        logits: Computes those ``(N, K)`` whose softmax the probabilities are.
        x: Pictures as the net takes them, float32 ``(N, 3, H, W)``, on its device.
        classes: The number of a class for each.

    Returns:
        Maps ``(N, H, W)``: by how much the probability, 0 to 1, falls; below 0 where it rises.
    """

    def probabilities(x: Array) -> NDArray[np.float64]:
        return np.exp(inference.log_probabilities(logits(x)))

    _, _, height, width = x.shape
    patch = max(2, min(height, width) // COVERED)
    step = patch // 2
    own = np.arange(len(x)), np.asarray(classes)  # the places of their probabilities
    mean = x.mean(axis=(2, 3), keepdims=True)
    before = probabilities(x)[own]
    total = np.zeros((len(x), height, width))
    count = np.zeros((height, width))
    for top in range(-step, height, step):
        for left in range(-step, width, step):
            covered = slice(max(top, 0), top + patch), slice(max(left, 0), left + patch)
            spoilt = x.copy()
            spoilt[:, :, covered[0], covered[1]] = mean
            fall = before - probabilities(spoilt)[own]
            total[:, covered[0], covered[1]] += fall[:, None, None]
            count[covered] += 1
    return (total / count).astype(np.float32)


def relative(falls: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale maps ``(N, H, W)`` of `occlusion` to 0 to 1; where next to nothing falls, to 0."""
    most = falls.max(axis=(1, 2), keepdims=True)
    scaled: NDArray[np.float32] = np.where(most > LEAST, falls / np.where(most, most, 1), 0)
    return scaled.clip(0, 1)


class _LastMaps(chainer.FunctionHook):
    """Find the function that takes the last maps ``(N, C, h, w)``, and these.

    Maps with a border that was put around them do not count, but those within: the border is of no
    part of the picture, and small maps may consist of it mostly.
    """

    name = 'last maps'

    def __init__(self) -> None:
        self.function: chainer.FunctionNode | None = None
        self.maps: Array | None = None
        self._border = False  # whether the function before gave one

    def forward_postprocess(
        self, function: chainer.FunctionNode, in_data: tuple[Array, ...]
    ) -> None:
        maps = in_data[0]
        bordered, self._border = self._border, _puts_border(function)
        if bordered:
            return
        if maps is not None and maps.ndim == 4 and min(maps.shape[2:]) > 1:
            self.function, self.maps = function, maps


def _puts_border(function: chainer.FunctionNode) -> bool:
    return isinstance(function, Pad) and bool(function.pad_bw[2:].any())


@pictures.pictures.register(NAME)
def cam(looked_at: pictures.NetAndData, path: pathlib.Path) -> bool:
    """Draw Grad-CAM and occlusion maps of the given pictures, or of mistakes the net is sure of."""
    draw = _of_files if looked_at.files else _of_mistakes
    rows = draw(looked_at)
    if not rows:
        return False
    title = 'what speaks for a class (each map scaled by itself; red: most)'
    figures.panels(rows, path, f'{looked_at.trained.config.prefix}: {title}')
    return True


Row = list[tuple[str, NDArray[np.uint8]]]


def _of_files(looked_at: pictures.NetAndData) -> list[Row]:
    trained = looked_at.trained
    transform = trained.input_transform
    read = [
        picture_files.read(found.path, transform.shape, transform.fit) for found in looked_at.files
    ]
    names = [printable(found.short) for found in looked_at.files]
    rows: list[Row] = []
    for some in _parts(trained, len(read)):
        images = np.stack(read[some])
        x = trained.device.send(transform(images))
        logits = trained.scaled_logits([x])
        shown = figures.colours(images)
        rows += _rows(trained, x, shown, names[some], logits, [logits.argmax(axis=1)])
    return rows


def _of_mistakes(looked_at: pictures.NetAndData) -> list[Row]:
    trained = looked_at.trained
    logits, labels = looked_at.test_logits
    logits = logits / trained.temperature
    wrong = pictures.surest(logits, labels)[:SHOWN]
    images, index, _ = image_sets.choose(trained, looked_at.data, 'test')
    rows: list[Row] = []
    for part in _parts(trained, len(wrong)):
        some = wrong[part]
        ((x, _),) = images.batches(index[some], len(some))
        shown = pictures.test_pictures(looked_at, some)
        names = [f'truth: {trained.class_names[label]}' for label in labels[some]]
        classes = [logits[some].argmax(axis=1), labels[some]]
        rows += _rows(trained, x, shown, names, logits[some], classes)
    return rows


def _parts(trained: Trained, count: int) -> Iterator[slice]:
    """Divide so many pictures into batches: large ones at once may need too much memory."""
    size = trained.config.batch_size
    return (slice(start, start + size) for start in range(0, count, size))


def _rows(
    trained: Trained,
    x: Array,
    shown: NDArray[np.uint8],
    names: Sequence[str],
    logits: NDArray[np.float32],
    classes: Sequence[NDArray[np.intp] | NDArray[np.int32]],
) -> list[Row]:
    """Make a row of each picture: itself, the maps of the class first chosen, those of others.

    What falls when parts are covered is shown for the first one alone.
    """
    chances = np.exp(inference.log_probabilities(logits))
    zoom = max(1, SIDE // max(shown.shape[2:]))
    rows: list[Row] = [
        [(name, figures.tiled(picture[None], 1, zoom)[2:-2, 2:-2])]
        for name, picture in zip(names, shown, strict=True)
    ]
    for number, chosen in enumerate(classes):
        heat = grad_cam(trained.net, x, chosen)
        if heat is not None:
            for i, row in enumerate(rows):
                what = predictions.guess(trained.class_names[chosen[i]], chances[i, chosen[i]])
                row.append((f'Grad-CAM: {what}', figures.overlaid(shown[i], heat[i], zoom)))
        if number:
            continue  # of another class than the predicted one there is little that could fall
        falls = occlusion(lambda x: trained.scaled_logits([x]), x, chosen)
        for row, picture, fall, heat in zip(rows, shown, falls, relative(falls), strict=True):
            caption = f'covered: {100 * max(float(fall.max()), 0):.0f} % less at most'
            row.append((caption, figures.overlaid(picture, heat, zoom)))
    return rows
