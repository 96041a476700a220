"""Gather and augment a batch on the CPU: median time in milliseconds.

    python benchmarks/augmentation.py [--batch_size 128] [--augment crop,mirror]

The bound to keep is 3 ms for a batch of 128 with crop,mirror, on a quiet machine.
"""

import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'src'))

import numpy as np

from chainer_cifar.data import augment, batches
from chainer_cifar.device import get_device


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch_size', type=int, default=128)
    parser.add_argument('--augment', default='crop,mirror')
    parser.add_argument('--repeat', type=int, default=200)
    args = parser.parse_args()

    n = 20000
    rng = np.random.RandomState(0)
    images = rng.rand(n, 3072).astype(np.float32)
    data = batches.DeviceImages(images, np.zeros(n, np.int32), get_device())
    convert = data.augmenting_converter(augment.create(args.augment))
    times = []
    for _ in range(args.repeat):
        index = list(rng.randint(n, size=args.batch_size))
        start = time.perf_counter()
        convert(index, None)
        times.append(1000 * (time.perf_counter() - start))
    low, high = np.percentile(times, [10, 90])
    print(
        f'{args.augment}, batch of {args.batch_size}: median {statistics.median(times):.2f} ms '
        f'(10 % {low:.2f}, 90 % {high:.2f}; n = {args.repeat})'
    )


if __name__ == '__main__':
    main()
