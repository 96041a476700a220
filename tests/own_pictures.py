"""Pictures of three classes in folders, as a user may have them."""

import numpy as np
from PIL import Image

CLASSES = {'a b': (200, 60, 60), 'c': (60, 200, 60), '猫': (60, 60, 200)}


def picture(colour, seed=0, size=(40, 30)):
    """A picture of noise on a colour; `size` is (width, height)."""
    noise = np.random.RandomState(seed).randint(-40, 40, size=(size[1], size[0], 3))
    return Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))


def write(folder, per_class=10, names=tuple(CLASSES), size=(40, 30)):
    """Write `per_class` PNG files for each class into a folder of its name; return their paths."""
    paths = []
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            path = folder / name / f'{i:02}.png'
            picture(CLASSES[name], i, size).save(path)
            paths.append(path)
    return paths
