"""Load a trained net for evaluate, predict and visualize, given only its weights file."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import chainer
import numpy as np
from numpy.typing import NDArray

from chainer_cifar import config as train_config
from chainer_cifar import files, paths, runs
from chainer_cifar.arrays import Array
from chainer_cifar.data import input_transform
from chainer_cifar.data.input_transform import InputTransform
from chainer_cifar.data.preprocess import Preprocessing, name_of
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import calibration, inference
from chainer_cifar.nets.undrawn import undrawn
from chainer_cifar.runs import CONFIG, INPUT_TRANSFORM, MODELS, WEIGHTS, RunFolder
from chainer_cifar.weights import npz
from chainer_cifar.weights.deserializer import CheckedDeserializer, require_finite

SUGGESTED = 5  # how many runs to suggest if there are no such weights


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a run left behind, ready to use.

    Attributes:
        weights: Their file.
        config: The flags of the run, except for those that the user replaced.
        class_names: The names of the classes in the order of the logits.
        input_transform: Turns pictures into what the net takes.
        net: The net on `device`, with these weights.
        device: Where the net is.
        data_checksum: `Dataset.checksum` of the data it was trained on; empty if unknown.
        temperature: By which logits are divided before the softmax; see calibration.py.
        replaced: The run's own values of the flags that were replaced.
        stamp: What `files.stamp` told of the weights before they were read.
    """

    weights: pathlib.Path
    config: train_config.TrainConfig
    class_names: list[str]
    input_transform: InputTransform
    net: chainer.Chain
    device: chainer.backend.Device
    data_checksum: str
    temperature: float
    replaced: Mapping[str, Any]
    stamp: tuple[int, ...] = ()

    @property
    def results(self) -> pathlib.Path:
        """The folder under results/ for reports and pictures of these weights."""
        folder = self.weights.parent
        run = runs.containing(folder, [MODELS])  # the user may have renamed it
        if run is None or paths.real(folder) == paths.real(MODELS):
            run = RunFolder(self.config.prefix)
        return run.results

    def name(self, *words: str) -> str:
        """Make a file name for there: the words, and the weights' name unless that is best.npz."""
        epoch = [] if self.weights.name == WEIGHTS else [self.weights.stem]
        return '-'.join([*words, *epoch])

    def inputs(self, pictures: NDArray[np.uint8]) -> Iterator[Array]:
        """Turn pictures ``(N, C, H, W)`` into batches of what the net takes, on its device."""
        size = self.config.batch_size
        for start in range(0, len(pictures), size):
            yield self.device.send(self.input_transform(pictures[start : start + size]))

    def scaled_logits(
        self,
        batches: Iterable[Array],
        tta: str = 'none',
        advance: Callable[[int], object] = lambda n: None,
    ) -> NDArray[np.float32]:
        """Compute logits divided by the temperature, of which the softmax is what to tell people.

        For the arguments, the shape and the errors see `inference.logits`.
        """
        return inference.logits(self.net, batches, tta, advance) / self.temperature


def load(path: str | os.PathLike[str], flags: Mapping[str, Any] | None = None) -> Trained:
    """Read a weights file, and beside it the run's config.json and input.npz.

    Args:
        path: A weights file or snapshot, or a run; see `find`.
        flags: Flags of `TrainConfig` that replace those of the run, such as ``gpu``.

    Raises:
        UserError: A file is missing or damaged, or the weights belong to another net.
    """
    weights = find(path)
    stamp = files.stamp(weights)
    arrays = npz.read(weights)
    description = _read_description(weights.with_name(CONFIG))
    flags_of_run = runs.of_now(description)['flags']
    config = train_config.from_dict(flags_of_run, weights.with_name(CONFIG))
    config, replaced = replace(config, flags or {})
    found = input_transform.read(weights.with_name(INPUT_TRANSFORM))
    with undrawn():
        net = config.create_net(len(description['classes']), found.shape)
    _fill(net, arrays, weights, config.model)
    device = config.open_device()
    net.to_device(device)
    return Trained(
        weights=weights,
        config=config,
        class_names=description['classes'],
        input_transform=found,
        net=net,
        device=device,
        data_checksum=str(description.get('data_checksum', '')),
        temperature=calibration.read(weights),
        replaced=replaced,
        stamp=stamp,
    )


def replace(
    config: train_config.TrainConfig, flags: Mapping[str, Any]
) -> tuple[train_config.TrainConfig, dict[str, Any]]:
    """Replace flags of a run; return its own values of these, too.

    Here one process computes a whole batch. So one of another size need not be shared out among
    the processes and parts of the training.
    """
    alone = {'processes': 1, 'accumulate': 1} if 'batch_size' in flags else {}
    flags = {**alone, **flags}
    return config.replaced(flags), {name: getattr(config, name) for name in flags}


def find(name: str | os.PathLike[str]) -> pathlib.Path:
    """Find the weights file that a user means by `name`; see `runs.find_weights`.

    Raises:
        UserError: There is none.
    """
    path = runs.find_weights(name)
    if not path.is_file():
        if several := _of_several(name):
            raise UserError(
                f'{name}: is a run with several seeds or folds; give the weights of one, such as '
                f'{several[0]}'
            )
        known = [str(folder) for folder in runs.with_weights()[:SUGGESTED]]
        examples = ', '.join(known or [f'models/RUN/{WEIGHTS}'])
        raise UserError(f'{path}: no such file; give the weights of a run, such as {examples}')
    return path


def _of_several(name: str | os.PathLike[str]) -> list[pathlib.Path]:
    """Return the folders of weights of a run with several seeds or folds."""
    with contextlib.suppress(UserError):
        return [each.models for each in runs.find(name).of_seeds() if each.weights.is_file()]
    return []


def other_input(
    weights: pathlib.Path, preprocessing: Preprocessing | None, normalize: str
) -> list[str]:
    """Tell how the images that weights were trained on differ from those of another run.

    It does not compare means and the like, which differ between any two data sets.

    Args:
        weights: The file; config.json and input.npz of its run lie beside it.
        preprocessing: That of the other run; None if unknown.
        normalize: ``--normalize`` of the other run.

    Returns:
        Texts such as ``preprocessing raw, not mean``; none if those two files are missing.

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


def _read_description(path: pathlib.Path) -> dict[str, Any]:
    try:
        return runs.read_description(path, {'flags', 'classes'}, 'copy it again')
    except FileNotFoundError:
        raise UserError(
            f'{path}: no such file; it must lie beside the weights, to say which net they belong to'
        ) from None


def _fill(net: chainer.Chain, arrays: Mapping[str, Array], path: pathlib.Path, model: str) -> None:
    wanted = chainer.serializers.DictionarySerializer()
    wanted.save(net)
    for name, array in wanted.target.items():
        shape = arrays[name].shape if name in arrays else None
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
