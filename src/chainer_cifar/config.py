"""Define every flag of the train command: name, default, meaning and check.

`TrainConfig` makes the command line, the recipes, config.json and ``--resume``.
Precedence: default < recipe < command line.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import chainer

from chainer_cifar import device as devices
from chainer_cifar import language, nets
from chainer_cifar.data import augment
from chainer_cifar.data.normalize import normalizations
from chainer_cifar.data.store import LABEL_FILE
from chainer_cifar.device import CPU_ENGINES
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.optim import averaging, groups, mixed, optimizers, schedules
from chainer_cifar.paths import leads_out
from chainer_cifar.recipes import recipes
from chainer_cifar.registry import nearest

NET, DATA, IMAGES = 'net', 'data', 'what is done to the images'
OPTIMIZATION, RUN, DEVICE = 'optimization', 'run', 'device'

# The format of the flags in config.json and snapshots. A file in a later format is refused; for one
# in an earlier format, `RENAMED` holds today's names of its flags.
FORMAT = 1
RENAMED: dict[str, str] = {}

GROUPS = (NET, DATA, IMAGES, OPTIMIZATION, RUN, DEVICE)  # as --help shows them


def _flag(
    group: str,
    default: Any,
    text: str,
    short: str | None = None,
    at_least: int | None = None,
    at_most: int | None = None,
    among: Collection[str] = (),
    told: str = '',
    of_run: str = 'that of the run',
    in_train: str = '',
) -> Any:
    # `told` is the default in words, `of_run` that of commands that know a run; `in_train` is what
    # the flag means in train only.
    metadata: dict[str, Any] = {'group': group, 'help': text, 'short': short}
    metadata |= {'told': told or default, 'of_run': of_run, 'in_train': in_train}
    metadata |= {'at_least': at_least, 'at_most': at_most, 'among': among}
    return dataclasses.field(default=default, metadata=metadata)


def _for(option: str) -> str:
    return f'; for {", ".join(nets.taking(option))}'


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """What to train, how, and on which data.

    Raises:
        UserError: A value makes no sense.
    """

    gpu: int = _flag(
        DEVICE,
        -1,
        'index of the GPU; negative: the CPU',
        '-g',
        in_train='several, as in 0,1,2,3: a process on each',
    )
    model: str = _flag(NET, 'vgg', f'the net: {", ".join(nets.registry)}', '-m')
    batch_size: int = _flag(OPTIMIZATION, 100, 'images in a mini-batch', '-b', at_least=1)
    dataset: str = _flag(
        DATA, 'dataset/image.pkl', 'images, made by dataset.py: a file, or a folder image_raw', '-d'
    )
    label: str = _flag(
        DATA,
        '',
        'labels, a file made by dataset.py',
        '-l',
        told=f'{LABEL_FILE} beside -d',
        of_run=f'{LABEL_FILE} beside another -d if there is one, or that of the run',
    )
    prefix: str = _flag(
        RUN,
        '',
        'folder name under results/ and models/',
        '-p',
        told='<model>_<optimizer>',
    )
    iter: int = _flag(
        OPTIMIZATION, 300, 'epochs to train; --epochs is the same', at_least=1, at_most=10**6
    )
    save_iter: int = _flag(
        RUN, 0, 'also keep the weights of every so many epochs; 0: none', at_least=0
    )
    optimizer: str = _flag(OPTIMIZATION, 'sgd', f'{", ".join(optimizers.registry)}')
    lr: float = _flag(OPTIMIZATION, 0.01, 'initial learning rate of sgd and nesterov', at_least=0)
    momentum: float = _flag(OPTIMIZATION, 0.9, 'momentum of sgd and nesterov', at_least=0)
    alpha: float = _flag(OPTIMIZATION, 0.001, 'initial learning rate of adam and adamw', at_least=0)
    lr_decay_iter: str = _flag(
        OPTIMIZATION,
        '100',
        'divide the learning rate by 10 every so many epochs (0: never), or after each of a list '
        '100,200',
    )
    lr_shape: str = _flag(
        OPTIMIZATION,
        'multistep',
        f'course of the learning rate, any of: {schedules.forms()}; or a product as in '
        'warmup(5)|cosine',
    )
    weight_decay: float = _flag(
        OPTIMIZATION,
        0.0001,
        'weight decay on every parameter; adamw takes learning rate x this of it in a step',
        at_least=0,
    )
    no_decay_bn: bool = _flag(
        OPTIMIZATION, False, 'no weight decay on batch normalization and biases'
    )
    lr_factors: str = _flag(
        OPTIMIZATION,
        '',
        'by what the learning rate of some parameters is multiplied (with sgd and nesterov their '
        'weight decay is divided by it): bn_beta=64,stem/*=0.1,whiten/b=1@3 (@3: for 3 epochs, '
        f'then they stay as they are); by kind ({", ".join(groups.KINDS)}) or by patterns as of '
        '--freeze',
    )
    average: str = _flag(
        OPTIMIZATION,
        'none',
        f'average of the weights over time, which is evaluated and saved: {averaging.forms()}',
    )
    accumulate: int = _flag(
        OPTIMIZATION,
        1,
        'parts in which a mini-batch is computed, one after the other, to save memory; batch '
        'normalization sees a part at a time',
        at_least=1,
    )
    l2: float = _flag(
        OPTIMIZATION, 0.0, "Keras' l2 on kernels: weights of convolutions and linear", at_least=0
    )
    clip_gradient: float = _flag(
        OPTIMIZATION, 0.0, 'largest norm of all gradients together; 0: any', at_least=0
    )
    label_smoothing: float = _flag(
        OPTIMIZATION, 0.0, 'share of the target spread over all classes', at_least=0
    )
    normalize: str = _flag(
        IMAGES,
        'none',
        f'how to normalize a batch after augmentation: {", ".join(normalizations)} (all but none '
        'and channel are for -d dataset/image_raw.pkl)',
    )
    augment: str = _flag(
        IMAGES,
        'crop,mirror',
        f'steps in the order in which they are applied, such as rotate(20)|shift(0.2)|mirror, '
        f'of: {augment.forms()}; or none',
    )
    balance: str = _flag(
        OPTIMIZATION,
        'none',
        'make up for rare classes: sampler (an epoch has as many images of each) or loss (weights)',
        among=('none', 'sampler', 'loss'),
    )
    patience: int = _flag(
        RUN,
        0,
        'stop after so many epochs without a lower validation error; 0: train them all',
        at_least=0,
    )
    no_valid_data: bool = _flag(
        DATA, False, 'train on all training images; the last epoch is the result'
    )
    res_depth: int = _flag(
        NET, 18, f'blocks in a stage{_for("res_depth")}', at_least=1, at_most=1000
    )
    res_width: int = _flag(
        NET,
        2,
        f'width: stages of 16, 32 and 64 times as many channels{_for("res_width")}',
        at_least=1,
        at_most=1000,
    )
    skip_depth: bool = _flag(NET, False, f'stochastic depth{_for("skip_depth")}')
    swapout: bool = _flag(NET, False, f'swapout{_for("swapout")}')
    pyramid_alpha: int = _flag(
        NET,
        48,
        f'channels added to the first 16{_for("pyramid_alpha")}',
        at_least=0,
        at_most=1000,
    )
    upscale: int = _flag(
        NET,
        0,
        f'resize the images to this width inside of the net, 0: leave them{_for("upscale")}',
        at_least=0,
        at_most=1024,
    )
    init: str = _flag(
        NET,
        '',
        'start with these weights: a run, an npz file of ours, an h5 file of Keras, or imagenet',
    )
    freeze: str = _flag(NET, '', 'do not train these parts of the net; patterns, as in stem*,*_bn')
    processes: int = _flag(
        DEVICE,
        1,
        'processes that share each mini-batch, on this machine (docs/parallel.md)',
        at_least=1,
    )
    sync_bn: bool = _flag(
        OPTIMIZATION,
        False,
        "batch normalization over the images of all processes, not over each one's own",
    )
    folds: int = _flag(
        RUN,
        0,
        'cross-validation: divide the training images into so many folds and train once for each, '
        'in folders fold1, fold2 …, which then validates; 0: no folds',
        at_least=0,
        at_most=100,
    )
    fold: int = _flag(
        RUN, 0, 'train only for this of the --folds, from 1; 0: for each of them', at_least=0
    )
    tensorboard: bool = _flag(
        RUN,
        False,
        'also write the course of the run for TensorBoard, into results/RUN/tensorboard '
        '(needs the extra tensorboard)',
    )
    seed: int = _flag(RUN, 1, 'seed of every random choice', at_least=0, at_most=2**32 - 1)
    cpu_engine: str = _flag(
        DEVICE,
        'onednn',
        "what computes on the CPU: onednn, onednn-direct (without Winograd's algorithm) or chainer "
        '(its own code)',
        among=CPU_ENGINES,
    )
    deterministic: bool = _flag(
        DEVICE, False, 'on a GPU, use only algorithms that give the same bits twice'
    )
    precision: str = _flag(
        DEVICE,
        'float32',
        'what a GPU trains in: float32, or mixed16 (float16, with weights in float32 and a scaled '
        'loss)',
        among=mixed.PRECISIONS,
    )
    recipe: str = _flag(
        RUN,
        '',
        f'named set of flags, one of {", ".join(recipes)} (see --list_recipes); flags given '
        'beside it win',
    )

    def __post_init__(self) -> None:
        self._require_values()
        self._require_texts()
        self._require_together()
        if not self.prefix:
            object.__setattr__(self, 'prefix', f'{self.model}_{self.optimizer}')
        if not self.label:
            object.__setattr__(self, 'label', str(_labels_beside(self.dataset)))
        if leads_out(self.prefix):
            raise UserError(
                f'--prefix {self.prefix}: must be a name under results/, not a path out'
            )

    def _require_values(self) -> None:
        """Raise UserError unless each value alone is one that its flag may have."""
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), field.metadata['at_least']
            if least is not None and not least <= value < float('inf'):
                raise UserError(f'--{field.name} {value}: must be a number from {least} up')
            # No machine has the memory for a larger net, NumPy no larger seed.
            most = field.metadata['at_most']
            if most is not None and value > most:
                raise UserError(f'--{field.name} {value}: must be a number from {least} to {most}')
            words = field.metadata['among']
            if words and value not in words:
                raise UserError(
                    f"--{field.name} '{value}': must be one of {', '.join(words)}"
                    f'{nearest(value, words)}'
                )
        for name in ('momentum', 'label_smoothing'):
            if getattr(self, name) >= 1:
                raise UserError(f'--{name} {getattr(self, name)}: must be less than 1')
        if 0 < self.upscale < 32:
            raise UserError(f'--upscale {self.upscale}: must be 0, or 32 and more')
        if self.folds == 1:
            raise UserError('--folds 1: must be 2 or more, or 0 for none')

    def _require_texts(self) -> None:
        """Raise UserError unless all names are registered and all little languages are right."""
        for name, value in vars(self).items():
            if isinstance(value, str) and '\0' in value:  # no path may have one
                raise UserError(f'--{name} {value!a}: holds a zero byte; leave it out')
        nets.registry.require(self.model)
        normalizations.require(self.normalize)
        optimizers.registry.require(self.optimizer)
        with prefixed('--augment '):
            augment.create(self.augment)
        with prefixed('--lr_shape '):
            shapes = language.names(self.lr_shape)
        if 'multistep' in shapes:
            with prefixed('--lr_decay_iter '):
                schedules.decay_epochs(self.lr_decay_iter)
        with prefixed('--lr_shape '):
            schedules.create(self)
        with prefixed('--lr_factors '):
            groups.read(self.lr_factors)
        with prefixed('--average '):
            averaging.create(self.average, None)

    def _require_together(self) -> None:
        """Raise UserError for values that do not go together."""
        if self.batch_size % self.processes:
            raise UserError(
                f'--batch_size {self.batch_size}: cannot be shared out evenly to '
                f'{self.processes} processes; give a multiple of {self.processes}, or another '
                f'number of processes'
            )
        if self.precision == 'mixed16':
            if self.clip_gradient:
                raise UserError(
                    '--precision mixed16: its gradients are scaled; not with --clip_gradient'
                )
            if language.names(self.average):
                raise UserError(
                    '--precision mixed16: keeps weights in float32 itself; not with --average'
                )
        if self.patience and self.no_valid_data:
            raise UserError('--patience: watches the validation error; not with --no_valid_data')
        if self.fold > self.folds:
            raise UserError(f'--fold {self.fold}: there are {self.folds} (--folds)')
        for name in ('no_valid_data', 'patience'):
            if self.folds and getattr(self, name):
                raise UserError(f'--folds: the last epoch is the result of each; not with --{name}')
        if self.accumulate > self.batch_size:
            raise UserError(
                f'--accumulate {self.accumulate}: more parts than the {self.batch_size} images of '
                f'a mini-batch; give a larger --batch_size'
            )

    def replaced(self, flags: Mapping[str, Any]) -> 'TrainConfig':
        """Replace flags; to other images belong the labels beside them, if there are any."""
        beside = 'dataset' in flags and _labels_beside(flags['dataset']).exists()
        return dataclasses.replace(self, **{**({'label': ''} if beside else {}), **flags})

    @property
    def initial_rate(self) -> float:
        """The learning rate that the schedule multiplies."""
        return getattr(self, optimizers.flags(self.optimizer)[0])

    @property
    def last_counts(self) -> bool:
        """The last epoch gives the result, not the best one.

        Of a fold, the images that would choose the best epoch are those that judge.
        """
        return self.no_valid_data or bool(self.folds)

    def require_used(self, typed: Iterable[str]) -> None:
        """Raise UserError if one of the flags `typed` has no meaning beside the others."""
        for name in typed:
            if what := meaningless_for(name, self.optimizer, self.lr_shape):
                raise UserError(f'--{name}: has no meaning for {what}; leave it out')

    def net_options(self) -> dict[str, Any]:
        """Return the options for `nets.create` that differ from their defaults."""
        options = nets.option_names()
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name in options and getattr(self, field.name) != field.default
        }

    def require_shape(self, shape: nets.Shape) -> None:
        """Raise UserError if the net does not take images of this shape ``(C, H, W)``."""
        with prefixed('--'):
            nets.require_shape(self.model, shape, self.upscale)

    def create_net(self, n_class: int, shape: nets.Shape = nets.CIFAR) -> chainer.Chain:
        """Make the net on the host; draw its initial weights from NumPy's random state.

        Args:
            n_class: Number of classes.
            shape: Of an image.

        Raises:
            UserError: The user gave an option that this net does not have, or it does not take
                images of this shape.
        """
        with prefixed('--'):
            return nets.create(self.model, n_class, shape, **self.net_options())

    def open_device(self) -> chainer.backend.Device:
        """Make the device current, configure it and return it.

        Raises:
            UserError: CuPy, the driver or that GPU is missing, or the GPU is full or taken.
        """
        try:
            return devices.get_device(self.gpu, self.deterministic, self.cpu_engine)
        except UserError as error:
            raise UserError(f'-g {self.gpu}: {error}, or give -g -1 for the CPU') from None


def _labels_beside(dataset: str) -> pathlib.Path:
    return pathlib.Path(dataset).parent / LABEL_FILE


def meaningless_for(name: str, optimizer: str, lr_shape: str) -> str:
    """Say for which of the two flags the flag `name` has no meaning; empty if it has one."""
    taken = optimizers.flags(optimizer)
    owned = any(name in optimizers.flags(each) for each in optimizers.registry)
    if owned and name not in taken:
        words = ' and '.join(f'--{flag}' for flag in taken)
        return f'--optimizer {optimizer}, which takes {words}'
    if name == 'lr_decay_iter' and 'multistep' not in language.names(lr_shape):
        return f"--lr_shape '{lr_shape}', only with multistep in it"
    return ''


def from_dict(values: Mapping[str, object], path: str | os.PathLike[str]) -> TrainConfig:
    """Make a config from the flags in a file of ours, whose types and names it checks.

    Args:
        values: Flag names and values, as read from JSON.
        path: The file, for error messages.

    Raises:
        UserError: A key is no flag, or a value has the wrong type or makes no sense.
    """
    with prefixed(f'{path}: '):
        return TrainConfig(**typed({RENAMED.get(key, key): value for key, value in values.items()}))


def typed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return flags by name, each of the type that it has in `TrainConfig`.

    Raises:
        UserError: A key is no flag, or a value has another type.
    """
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    flags: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            raise UserError(f"no flag is called '{name}'{nearest(name, fields)}")
        flags[name] = _typed(value, fields[name])
    return flags


def _typed(value: object, field: dataclasses.Field[Any]) -> object:
    """Return `value` in the type of its field; true and false are no numbers."""
    wanted: Any = field.type  # a class, not its name
    if wanted is float and type(value) is int and abs(value) < 2**53:
        return float(value)
    if type(value) is wanted:
        return value
    raise UserError(f'{field.name} must be {_TYPE_NAMES[wanted]}, not {_shortened(value)}')


_TYPE_NAMES: dict[type, str] = {
    int: 'a whole number',
    float: 'a number',
    str: 'a text',
    bool: 'true or false',
}


def _shortened(value: object) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= 40 else f'{text[:39]}…'
