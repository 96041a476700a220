"""A trained net as evaluate, predict and visualize need it: all they ask is its weights file."""

import dataclasses
import pathlib

import chainer
import numpy as np

from chainer_cifar import config as train_config
from chainer_cifar import runs
from chainer_cifar.data import input_transform
from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.data.preprocess import name_of
from chainer_cifar.errors import UserError
from chainer_cifar.runs import CONFIG, INPUT_TRANSFORM, MODELS, WEIGHTS, RunFolder
from chainer_cifar.weights import npz
from chainer_cifar.weights.deserializer import CheckedDeserializer, require_finite

SUGGESTED = 5  # runs, where no weights are found


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a run left behind, ready to use.

    Attributes:
        weights (pathlib.Path): The file.
        config (TrainConfig): The flags of the run, or those given instead.
        class_names (list of str): In the order of the logits.
        input_transform (InputTransform): From pictures to what the net takes.
        net (chainer.Chain): On `device`, with these weights.
        device (chainer.backend.Device): Where it is.
        data_checksum (str): Of the data it was trained on (`Dataset.checksum`); empty if unknown.
        batch_size (int): That it was trained with.
    """

    weights: pathlib.Path
    config: train_config.TrainConfig
    class_names: list
    input_transform: InputTransform
    net: chainer.Chain
    device: chainer.backend.Device
    data_checksum: str
    batch_size: int

    @property
    def results(self):
        """The folder under results/ for what is found out about these weights."""
        folder = self.weights.parent
        run = runs.containing(folder, [MODELS])  # it may have been renamed since
        if run is None or folder.resolve() == MODELS.resolve():
            run = RunFolder(self.config.prefix)
        return run.results

    def name(self, *words):
        """A file name for that: the words, and the weights' name unless that is best.npz."""
        epoch = [] if self.weights.name == WEIGHTS else [self.weights.stem]
        return '-'.join([*words, *epoch])


def load(path, flags=None):
    """Read a weights file, and beside it the run's config.json and input.npz.

    Args:
        path (str): A weights file or snapshot, or a run; see `find`.
        flags (dict): Flags of `TrainConfig` that replace those of the run, such as ``gpu``.

    Raises:
        UserError: A file is missing or damaged, or the weights are those of another net.
    """
    weights = find(path)
    arrays = npz.read(weights)
    description = _read_description(weights.with_name(CONFIG))
    config = train_config.from_dict(description['flags'], weights.with_name(CONFIG))
    batch_size = config.batch_size
    config = dataclasses.replace(config, **(flags or {}))
    net = config.create_net(len(description['classes']))
    _fill(net, arrays, weights, config.model)
    found = input_transform.read(weights.with_name(INPUT_TRANSFORM))
    device = config.open_device()
    net.to_device(device)
    checksum = str(description.get('data_checksum', ''))
    classes = description['classes']
    return Trained(weights, config, classes, found, net, device, checksum, batch_size)


def find(name):
    """The weights file that `name` means (see `runs.find_weights`); UserError if there is none."""
    path = runs.find_weights(name)
    if not path.is_file():
        known = [str(folder) for folder in runs.with_weights()[:SUGGESTED]]
        examples = ', '.join(known or [f'models/RUN/{WEIGHTS}'])
        raise UserError(f'{path}: no such file; give the weights of a run, such as {examples}')
    return path


def other_input(weights, preprocessing, normalize):
    """In what the images that weights were trained on differ from those of another run.

    Means and the like are not compared: they differ between any two data sets.

    Args:
        weights (pathlib.Path): The file; config.json and input.npz of its run lie beside it.
        preprocessing: Of the other run, as `InputTransform` has it.
        normalize (str): Its ``--normalize``.

    Returns:
        list of str: Such as ``preprocessing raw, not mean``; empty if those files are missing.

    Raises:
        UserError: One of them is damaged.
    """
    description, beside = weights.with_name(CONFIG), weights.with_name(INPUT_TRANSFORM)
    if not (description.exists() and beside.exists()):
        return []
    flags = _read_description(description)['flags']
    pairs = {'--normalize': (flags.get('normalize', 'none'), normalize)}
    before = input_transform.read(beside).preprocessing
    if before is not None and preprocessing is not None:
        pairs['preprocessing'] = name_of(before), name_of(preprocessing)
    return [f'{what} {old}, not {new}' for what, (old, new) in pairs.items() if old != new]


def _read_description(path):
    try:
        return runs.read_description(path, {'flags', 'classes'}, 'copy it again')
    except FileNotFoundError:
        raise UserError(
            f'{path}: no such file; it tells what net the weights are of, and lies beside them'
        ) from None


def _fill(net, arrays, path, model):
    wanted = chainer.serializers.DictionarySerializer()
    wanted.save(net)
    for name, array in wanted.target.items():
        shape = np.shape(arrays.get(name))
        if name not in arrays or shape != np.shape(array):
            found = f'it has shape {shape} there' if name in arrays else 'there is none there'
            raise UserError(
                f"{path}: not weights of net '{model}' as its {CONFIG} describes it: "
                f"'{name}' must have shape {np.shape(array)}, and {found}"
            )
    other = sorted(set(arrays) - set(wanted.target))
    if other:
        raise UserError(
            f"{path}: not weights of net '{model}' as its {CONFIG} describes it: "
            f"the net has no '{other[0]}'"
        )
    try:
        CheckedDeserializer(arrays).load(net)
        require_finite(net)
    except ValueError as error:
        raise UserError(f'{path}: damaged ({error}); copy it again, or train again') from None
