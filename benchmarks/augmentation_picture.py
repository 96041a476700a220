"""What each augmentation does to eight pictures: docs/images/augmentation.png.

    python benchmarks/augmentation_picture.py [PNG]

The pictures are parts of the two photographs that scikit-learn carries.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'src'))

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from chainer_cifar import figures
from chainer_cifar.data import augment

PICTURE = pathlib.Path(__file__).resolve().parents[1] / 'docs' / 'images' / 'augmentation.png'
TEXTS = [
    *('none', 'crop', 'crop(4, mirror)', 'mirror', 'altflip'),
    *('rotate(20)', 'shift(0.2)', 'zoom(0.3)', 'channel_shift(50)', 'jitter'),
    *('erase(1)', 'erase(1, noise=1)', 'cutout(16)', 'mixup', 'cutmix'),
    *('randaugment(1, 20)', 'randaugment(2, 9)', 'trivialaugment'),
]
COLUMNS = 3
PLACES = [  # top and left in each photograph
    [(40, 0), (120, 40), (150, 200), (190, 300)],
    [(120, 200), (60, 120), (180, 300), (200, 120)],
]
SIDE = 200


def main():
    x = pictures()
    index = np.arange(len(x))
    batch = augment.Batch(x.astype(np.float32), index % 10, index, 0 * index)
    panels = []
    for text in TEXTS:
        changed, _ = augment.create(text)(np, batch, np.random.RandomState(3))
        changed = np.rint(changed).clip(0, 255).astype(np.uint8)
        panels.append((text, figures.tiled(changed, len(x))))
    rows = [panels[i : i + COLUMNS] for i in range(0, len(panels), COLUMNS)]
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    figures.panels(rows, path, 'steps of --augment')


def pictures():
    """uint8 (8, 3, 32, 32)."""
    parts = [
        Image.fromarray(photograph[top : top + SIDE, left : left + SIDE]).resize((32, 32))
        for photograph, places in zip(load_sample_images().images, PLACES, strict=True)
        for top, left in places
    ]
    return np.array([np.asarray(part).transpose(2, 0, 1) for part in parts])


if __name__ == '__main__':
    main()
