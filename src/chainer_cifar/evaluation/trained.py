"""A trained net as evaluate, predict and visualize need it: all they ask is its weights file."""

import dataclasses
import json
import pathlib

import chainer
import numpy as np

from chainer_cifar import device as devices
from chainer_cifar import nets
from chainer_cifar.data import treatment
from chainer_cifar.data.preprocess import name_of
from chainer_cifar.errors import UserError
from chainer_cifar.training import config as train_config
from chainer_cifar.weights import locate, npz
from chainer_cifar.weights.deserializer import CheckedDeserializer, require_finite
from chainer_cifar.weights.locate import WEIGHTS

CONFIG, TREATMENT = 'config.json', 'input.npz'

RUNS = 5  # that are named where there are no weights


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a run left behind, ready to use.

    Attributes:
        weights (pathlib.Path): The file.
        config (TrainConfig): The flags of the run, or those given instead.
        class_names (list of str): In the order of the logits.
        treatment (Treatment): From pictures to what the net takes.
        net (chainer.Chain): On `device`, with these weights.
        device (chainer.backend.Device): Where it is.
        data_checksum (str): Of the data it was trained on (`Dataset.checksum`); empty if unknown.
        batch_size (int): That it was trained with.
    """

    weights: pathlib.Path
    config: train_config.TrainConfig
    class_names: list
    treatment: treatment.Treatment
    net: chainer.Chain
    device: chainer.backend.Device
    data_checksum: str
    batch_size: int

    @property
    def results(self):
        """The folder under results/ for what is found out about these weights."""
        folder, root = self.weights.parent.resolve(), pathlib.Path('models').resolve()
        if folder != root and folder.is_relative_to(root):  # it may have been renamed since
            return pathlib.Path('results', folder.relative_to(root))
        return self.config.results

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
    config = _config(description['flags'], weights.with_name(CONFIG))
    batch_size = config.batch_size
    config = dataclasses.replace(config, **(flags or {}))
    net = nets.create(config.model, len(description['classes']), **config.net_options())
    _fill(net, arrays, weights, config.model)
    found = treatment.read(weights.with_name(TREATMENT))
    device = devices.get_device(config.gpu, config.deterministic, config.cpu_engine)
    net.to_device(device)
    checksum = str(description.get('data_checksum', ''))
    classes = description['classes']
    return Trained(weights, config, classes, found, net, device, checksum, batch_size)


def find(name):
    """The weights file that `name` means (see locate.py); UserError if there is none."""
    path = locate.find(name)
    if not path.is_file():
        runs = [str(folder) for folder in locate.runs()[:RUNS]] or [f'models/RUN/{WEIGHTS}']
        raise UserError(
            f'{path}: no such file; give the weights of a run, such as {", ".join(runs)}'
        )
    return path


def other_input(weights, preprocessing, normalize):
    """In what the images that weights were trained on differ from those of another run.

    Means and the like are not compared: they differ between any two data sets.

    Args:
        weights (pathlib.Path): The file; config.json and input.npz of its run lie beside it.
        preprocessing: Of the other run, as `Treatment` has it.
        normalize (str): Its ``--normalize``.

    Returns:
        list of str: Such as ``preprocessing raw, not mean``; empty if those files are missing.

    Raises:
        UserError: One of them is damaged.
    """
    description, beside = weights.with_name(CONFIG), weights.with_name(TREATMENT)
    if not (description.exists() and beside.exists()):
        return []
    flags = _read_description(description)['flags']
    pairs = {'--normalize': (flags.get('normalize', 'none'), normalize)}
    before = treatment.read(beside).preprocessing
    if before is not None and preprocessing is not None:
        pairs['preprocessing'] = name_of(before), name_of(preprocessing)
    return [f'{what} {old}, not {new}' for what, (old, new) in pairs.items() if old != new]


def _read_description(path):
    try:
        description = json.loads(path.read_text(encoding='utf-8'))
        flags, classes = description['flags'], description['classes']
        named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
        if not isinstance(flags, dict) or not classes or not named:
            raise ValueError('something is missing in it')
        return description
    except FileNotFoundError:
        raise UserError(
            f'{path}: no such file; it tells what net the weights are of, and lies beside them'
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'{path}: cannot be read ({error}); copy it again') from None


def _config(flags, path):
    try:
        return train_config.from_dict(flags, path)
    except (TypeError, AttributeError, ValueError) as error:  # a number where a text belongs
        raise UserError(f'{path}: cannot be read ({error}); copy it again') from None


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
