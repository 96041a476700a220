"""Write trained weights as an ONNX file, which other programs run without Chainer.

The file takes pictures, uint8 (N, C, H, W) of the size of the training, grey ones as (N, 1, H, W),
and treats them as in training; it gives logits. It is compared with Chainer on test pictures of the
run before it is written.
"""

import argparse
import pathlib
from collections.abc import Sequence

from chainer_cifar.arguments import ArgumentParser, add_flags
from chainer_cifar.config import TrainConfig
from chainer_cifar.errors import UserError, prefixed
from chainer_cifar.evaluation import trained
from chainer_cifar.export import metadata, packages, session, write
from chainer_cifar.streams import tell
from chainer_cifar.table import sized

_REPLACEABLE = ('dataset', 'label')


def main(argv: Sequence[str], prog: str) -> None:
    given = _parser(prog).parse_args(argv)
    path = _path(given)
    packages.onnx_chainer()
    packages.onnxruntime()
    flags = {name: value for name, value in vars(given).items() if name in _REPLACEABLE}
    # The exporter knows Chainer's own functions only.
    model = trained.load(given.weights, {**flags, 'gpu': -1, 'cpu_engine': 'chainer'})
    with prefixed(f'{model.weights}: '):
        exported = write.convert(model)
    checked, chosen, lost = exported.checked, exported.model, None
    if given.int8:
        with prefixed(f'--int8: {model.weights}: '):
            chosen, lost = write.in_int8(model, exported)
    if not exported.data_checksum:
        tell(
            f'warning: {model.config.dataset} and {model.config.label} are not the data this run '
            'was trained on (the checksum differs), so the file does not say which those were'
        )
    about = write.describe(model, exported, given.license, lost._asdict() if lost else {})
    size = write.write(path, chosen, about)
    print(
        f'{path}  {sized(size)}\n'
        f'checked  {checked.same} of {checked.pictures} test pictures get the same class from '
        f'onnxruntime and Chainer; largest difference {checked.difference:.1e} of the largest logit'
    )
    if lost:
        print(
            f'int8     error {lost.error:.2f} % before, {lost.int8_error:.2f} % after, of '
            f'{lost.pictures:,} validation pictures, of which {lost.changed} get another class; '
            f'mean difference {lost.difference:.1e} of the largest logit'
        )


def _path(given: argparse.Namespace) -> pathlib.Path:
    if not given.onnx:
        raise UserError(f'--onnx: say where to write the file, as in --onnx model{session.SUFFIX}')
    path = pathlib.Path(given.onnx)
    if path.suffix != session.SUFFIX:
        raise UserError(f'--onnx {path}: must be the name of a {session.SUFFIX} file')
    if path.is_dir():
        raise UserError(f'--onnx {path}: is a folder')
    return path


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(prog=prog, description=__doc__, argument_default=argparse.SUPPRESS)
    parser.add_argument(
        'weights', metavar='WEIGHTS', help='a run, as models/RUN or RUN; or a file of weights'
    )
    add_flags(parser, TrainConfig, _REPLACEABLE, default='of_run')
    parser.add_argument('--onnx', default='', metavar='FILE.onnx', help='the file to write')
    parser.add_argument(
        '--int8',
        action='store_true',
        default=False,
        help='compute in 8-bit integers: a quarter of the size, and faster on most processors; '
        'ranges are measured on validation pictures, and what it costs is told',
    )
    parser.add_argument(
        '--license',
        default=metadata.NO_LICENCE,
        metavar='TEXT',
        help='the licence of the weights, such as CC-BY-4.0, which the file then names '
        f'(default: {metadata.NO_LICENCE})',
    )
    return parser
