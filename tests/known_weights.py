"""Weights that PyTorch or Keras can make again, too: from the names in order and a seed."""

import chainer
import numpy as np


def fill(net):
    """Fill a net with such weights, of a size that keeps the signal alive.

    Returns:
        dict: {'conv1/W': array, …}, of parameters and running statistics.
    """
    state = chainer.serializers.DictionarySerializer()
    state.save(net)
    rng = np.random.RandomState(0)
    arrays = {}
    for name in sorted(name for name, array in state.target.items() if array.ndim):
        shape = state.target[name].shape
        noise = rng.uniform(-1, 1, shape)
        if name.endswith('W'):
            noise *= (6 / np.prod(shape[1:])) ** 0.5
        if name.endswith(('gamma', 'avg_var')):
            noise = 1.25 + 0.5 * noise
        arrays[name] = noise.astype(np.float32)
    chainer.serializers.NpzDeserializer(arrays, strict=False).load(net)
    return arrays


def arrays_of(net):
    """{'conv1/W': array, …} as they are now: copies."""
    state = chainer.serializers.DictionarySerializer()
    state.save(net)
    return {name: array.copy() for name, array in state.target.items() if array.ndim}
