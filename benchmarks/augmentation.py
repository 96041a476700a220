"""Gather and augment a batch on the CPU: median time in milliseconds.

    python benchmarks/augmentation.py [--batch_size 128] [--augment TEXT ...]

Without --augment each augmentation is measured, and some texts of several. The bounds to keep, for
a batch of 128 on one core of a quiet machine: 3 ms with crop,mirror and with each of erase, jitter,
randaugment, trivialaugment, mixup and cutmix; 10 ms with rotate(20)|shift(0.2)|mirror.
"""

import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'src'))

import numpy as np

from chainer_cifar.data import augment, batches
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.device import get_device

TEXTS = [
    'none',
    'crop',
    'crop(4, mirror)',
    'mirror',
    'altflip',
    'erase',
    'erase(1, noise=1)',
    'cutout(16)',
    'channel_shift(25)',
    'jitter',
    'randaugment',
    'trivialaugment',
    'mixup',
    'cutmix',
    'rotate(20)',
    'rotate(20, fill=constant)',
    'rotate(20, fill=reflect)',
    'rotate(20, fill=mirror)',
    'rotate(20, fill=wrap)',
    'shift(0.2)',
    'zoom(0.2)',
    'crop,mirror',
    'rotate(20)|shift(0.2)|mirror',
    'rotate(20)|shift(0.2)|zoom(0.1)|channel_shift(25)|mirror',
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch_size', type=int, default=128)
    parser.add_argument('--augment', nargs='+', default=TEXTS)
    parser.add_argument('--repeat', type=int, default=200)
    parser.add_argument('--black', type=float, default=0.0, help='as of mean-subtracted images')
    args = parser.parse_args()

    n = 20000
    rng = np.random.RandomState(0)
    images = 255 * rng.rand(n, 3072).astype(np.float32)
    data = batches.DeviceImages(images, np.zeros(n, np.int32), get_device(), Normalization(0, 1))
    print(f'batch of {args.batch_size}, n = {args.repeat}: median ms (10 %, 90 %)')
    for text in args.augment:
        convert = data.augmenting_converter(augment.create(text, black=args.black))
        times = []
        for _ in range(args.repeat):
            examples = [(index, 0) for index in rng.randint(n, size=args.batch_size)]
            start = time.perf_counter()
            convert(examples, None)
            times.append(1000 * (time.perf_counter() - start))
        low, median, high = np.percentile(times, [10, 50, 90])
        print(f'{median:6.2f} ({low:.2f}, {high:.2f})  {text}')


if __name__ == '__main__':
    main()
