"""Parse what all commands that take trained weights have in common."""

import argparse
import pathlib

from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError
from chainer_cifar.evaluation import trained
from chainer_cifar.evaluation.trained import Trained
from chainer_cifar.export import session
from chainer_cifar.runs import WEIGHTS

# Flags of the run that the user may replace.
REPLACEABLE = ('gpu', 'batch_size', 'dataset', 'label', 'cpu_engine')


def weights_parser(prog: str, description: str | None, onnx: bool = False) -> ArgumentParser:
    """Make a parser with WEIGHTS and the flags of the run that one may replace; see `load`."""
    or_onnx = ', or an ONNX file of export' if onnx else ''
    parser = ArgumentParser(prog=prog, description=description, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        'weights',
        metavar='WEIGHTS',
        help=f'a run (its {WEIGHTS}), as models/RUN or RUN; or a file of weights{or_onnx}',
    )
    add_flags(parser, TrainConfig, REPLACEABLE, default='of_run')
    return parser


def load(given: argparse.Namespace, onnx: bool = False) -> Trained:
    """Load what the arguments name; `onnx` says that an ONNX file will do, too."""
    flags = {name: value for name, value in vars(given).items() if name in REPLACEABLE}
    if not onnx:
        return trained.load(find_with_layers(given.weights), flags)
    weights = trained.find(given.weights)
    load_from = session.load if weights.suffix == session.SUFFIX else trained.load
    return load_from(weights, flags)


def find_with_layers(name: str) -> pathlib.Path:
    """Find the weights that `name` means; raise UserError of an ONNX file, too."""
    weights = trained.find(name)
    if weights.suffix == session.SUFFIX:
        raise UserError(f'{weights}: an ONNX file does not show its layers; give the run')
    return weights


def require_folder(out: str) -> None:
    """Raise UserError if --out cannot be a folder to write to, before anything takes time."""
    if out and pathlib.Path(out).is_file():
        raise UserError(f'--out {out}: is a file; give a folder')
