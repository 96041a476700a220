"""Precompute the pictures: label.pkl, classes.json, image*.pkl, their statistics and samples."""

import argparse
import contextlib
import math
import pathlib
import time

import numpy as np
from tqdm import tqdm

from chainer_cifar import figures
from chainer_cifar.arguments import ArgumentParser
from chainer_cifar.data import store
from chainer_cifar.data.preprocess import PIXELS, preprocessing
from chainer_cifar.data.sources import sources
from chainer_cifar.errors import UserError


def main(argv, prog):
    args = parse(argv, prog)
    methods = {name: preprocessing[name] for name in args.only.split(',')}
    raw = sources[args.source](args.dir)
    train, test = raw.train_images, raw.test_images
    out = pathlib.Path(args.out or default_out(args.source))
    store.require_space(out, methods, len(train) + len(test))

    with reported(out / store.LABEL_FILE) as path:
        store.write_split(path, raw.train_labels, raw.test_labels)
    with reported(out / store.CLASSES_FILE) as path:
        store.write_class_names(path, raw.class_names)

    # Most of the memory, so all preprocessings of one dtype share it.
    memory = {
        dtype: [np.empty((len(images), PIXELS), dtype) for images in (train, test)]
        for dtype in {method.dtype for method in methods.values()}
    }
    for name, method in methods.items():
        with reported(out / store.image_file(name)) as path:
            steps = 2 * len(train) + len(test)
            with tqdm(total=steps, desc=name, unit='image', leave=False, disable=None) as bar:
                fitted = method.fit(train, args.eps, bar.update)
                train_out, test_out = memory[method.dtype]
                fitted(train, train_out, bar.update)
                fitted(test, test_out, bar.update)
            store.write_split(path, train_out, test_out)
        with reported(out / store.statistics_file(name)) as path:
            store.write_statistics(path, name, fitted)
        with reported(out / store.sample_file(name)) as path:
            figures.image_sheet(train_out[:100].reshape(-1, 3, 32, 32), path)


def parse(argv, prog):
    parser = ArgumentParser(
        prog=prog,
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--source', default='cifar10', help=f'pictures: {", ".join(sources)}')
    parser.add_argument('--dir', default='dataset', help='folder that holds the extracted archive')
    parser.add_argument(
        '--only', default=','.join(preprocessing), help='the preprocessings to compute'
    )
    parser.add_argument(
        '--out',
        default=argparse.SUPPRESS,
        help='folder to write to (default: dataset for cifar10, dataset/SOURCE for the others)',
    )
    parser.add_argument(
        '--eps',
        type=float,
        default=1e-5,
        help='added to each eigenvalue before whitening, in units of their mean: 0 whitens '
        'fully, 0.1 leaves the fine noise and the JPEG artefacts as weak as they are',
    )
    args = parser.parse_args(argv, argparse.Namespace(out=None))
    if not (math.isfinite(args.eps) and args.eps >= 0):
        raise UserError(f'--eps {args.eps}: must be a number >= 0')
    return args


def default_out(source):
    """A folder of its own for each source, so that digits never replace CIFAR-10."""
    return 'dataset' if source == 'cifar10' else f'dataset/{source}'


@contextlib.contextmanager
def reported(path):
    """Make `path` inside; then one line tells its size and time, or UserError why it failed."""
    start = time.perf_counter()
    try:
        yield path
    except OSError as error:
        raise UserError(f'{path}: cannot be written: {error.strerror or error}') from None
    seconds = time.perf_counter() - start
    print(f'{path}  {path.stat().st_size / 1e6:.1f} MB  {seconds:.1f} s', flush=True)
