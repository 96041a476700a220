"""Weights and images that Keras and we can both draw, so that only outputs need to be stored.

`benchmarks/keras_outputs.py` gives them to Keras' models, tests/nets/test_keras.py to our nets.
"""

import math
import zlib

import numpy as np


def images():
    """float32 (4, 32, 32, 3), as Keras wants them."""
    return np.random.RandomState(0).uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)


def draw(layer, shapes):
    """Values for the weights of a layer, of sizes that keep a deep net's outputs near 1.

    Args:
        layer (str): Its name, which is the seed.
        shapes (dict): From Keras' names of its weights to their shapes in Keras' layout.

    Returns:
        dict: From the same names to float32 arrays.
    """
    values = {}
    for name, shape in shapes.items():
        rng = np.random.RandomState(zlib.crc32(f'{layer}/{name}'.encode()))
        if name in ('gamma', 'moving_variance'):
            value = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            value = rng.normal(0, 0.1, shape)
        else:
            # Of a depthwise kernel (H, W, C, 1) one channel sees H x W values.
            fan_in = math.prod(shape[:2] if shape[-1] == 1 else shape[:-1])
            value = rng.normal(0, math.sqrt(2 / fan_in), shape)
            if layer.startswith('units_') and layer.endswith('_conv3'):
                value *= 0.2  # or the sum over all residual units explodes
        values[name] = value.astype(np.float32)
    return values
