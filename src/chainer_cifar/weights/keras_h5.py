"""Read the weights of a Keras model from its h5 file, for a net whose links have the same names."""

import math
import os
import zlib
from collections.abc import Container
from typing import Any

import chainer
import chainer.links as L
import h5py
import numpy as np

from chainer_cifar.arrays import Array
from chainer_cifar.errors import UserError

_BATCH_NORMALIZATION = {
    'gamma': 'gamma',
    'beta': 'beta',
    'moving_mean': 'avg_mean',
    'moving_variance': 'avg_var',
}
_OTHER = {'kernel': 'W', 'depthwise_kernel': 'W', 'bias': 'b'}
LARGEST = 2**31  # bytes of all weights; a few packed MB could hold more than memory does
# Shuffling and checksums give as many bytes as they take; of other filters nobody knows.
_FILTERS = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32
_CHECKSUM = 4  # bytes that FLETCHER32 puts behind a chunk
_DAMAGE = (zlib.error, OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError)


def read(path: str | os.PathLike[str], net: chainer.Chain) -> dict[str, Array]:
    """Read the weights in an h5 file, with the names and layouts of `net`.

    Convolution kernels (H, W, in, out) become (out, in, H, W), depthwise ones (H, W, C, 1) become
    (C, 1, H, W), dense ones (in, out) become (out, in). If a dense layer follows a flatten, Keras
    counts its inputs by row, column, channel, and Chainer by channel, row, column: such a net has
    an attribute ``flattened = {'fc1': (C, H, W)}``.

    Args:
        path: A file from ``save_weights('….h5')`` of Keras 2 or ``save('….h5')`` of Keras 2 or 3.
        net: The net whose links have the names of the layers, at any depth of nested models.

    Returns:
        The arrays by names such as ``conv1/W``; those without a link in the net have Keras' name,
        ``conv1/kernel``.

    Raises:
        UserError: The file is missing or damaged, is no h5 file, or has the layout of Keras 3's
            ``.weights.h5``, which does not keep the names.
    """
    links = {name.lstrip('/'): link for name, link in net.namedlinks(skipself=True)}
    try:
        with h5py.File(path, 'r') as file:
            layers = _layers(_root(file), links)
    except _DAMAGE as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'{path}: not a readable h5 file of Keras ({reason})') from None
    if 'vars' in layers:
        raise UserError(
            f"{path}: Keras 3's .weights.h5 does not keep the names of layers; "
            f"in Keras, load it and write model.save('model.h5')"
        )
    flattened = getattr(net, 'flattened', {})
    arrays: dict[str, Array] = {}
    for layer, weights in layers.items():
        for weight, array in weights.items():
            name, converted = weight, array
            if layer in links:
                name, converted = _convert(links[layer], weight, array, flattened.get(layer))
            arrays[f'{layer}/{name}'] = converted
    return arrays


def _root(file: h5py.File) -> h5py.Group:
    """The group of all weights, which lie deeper in the file of a model."""
    # A link that is asked for by its name is followed, into any other file.
    whole_model = isinstance(file.get('model_weights', getlink=True), h5py.HardLink)
    return file['model_weights'] if whole_model else file


def _layers(root: h5py.Group, known: Container[str]) -> dict[str, dict[str, Array]]:
    """Return {layer: {weight: array}} from ``layer/layer/weight:0`` or ``model/layer/weight``."""
    layers: dict[str, dict[str, Array]] = {}
    left = LARGEST

    def visit(name: str, item: Any) -> None:
        nonlocal left
        # h5py follows no links to other files and names.
        if isinstance(item, h5py.Dataset):
            _require_stored(item)
            # A chunk is unpacked whole, even if the dataset has a single number of it.
            chunk = math.prod(item.chunks or ()) * item.dtype.itemsize
            left -= max(item.nbytes, chunk)
            if left < 0:
                raise ValueError(f'it unpacks to more than {LARGEST / 1e9:.0f} GB')
            _require_packed_as_said(item, chunk)
            *groups, weight = name.split('/')
            # TensorFlow 1 wrote conv1/conv1_1/kernel:0 for a model that was built a second time.
            innermost = groups[-1] if groups else ''
            layer = next((group for group in reversed(groups) if group in known), innermost)
            layers.setdefault(layer, {})[weight.removesuffix(':0')] = np.asarray(item)

    root.visititems(visit)
    return layers


def _require_stored(item: h5py.Dataset) -> None:
    """Raise ValueError if the file does not hold the numbers of a dataset itself.

    A dataset may lie in any other file, which would be read into the weights, and one that is
    written nowhere has no limit of its size. Of texts and lists it holds places only, and many of
    them may be the place of the same long one.
    """
    if item.dtype.hasobject:
        raise ValueError(f"'{item.name}' has texts or lists, not numbers")
    if item.external or item.is_virtual:
        raise ValueError(f"'{item.name}' lies in another file")
    if item.size and not item.id.get_storage_size():
        raise ValueError(f"'{item.name}' has no content")


def _require_packed_as_said(item: h5py.Dataset, chunk: int) -> None:
    """Raise ValueError if a chunk of a dataset unpacks to more than `chunk` bytes.

    HDF5 unpacks all that is there, however small the dataset says that its chunks are.
    """
    settings = item.id.get_create_plist()
    filters = [settings.get_filter(number)[0] for number in range(settings.get_nfilters())]
    if set(filters) - set(_FILTERS) or filters.count(h5py.h5z.FILTER_DEFLATE) > 1:
        raise ValueError(f"'{item.name}' is packed in another way than gzip")
    if h5py.h5z.FILTER_DEFLATE not in filters:
        return
    stored: list[Any] = []
    item.id.chunk_iter(stored.append)
    most = chunk + _CHECKSUM
    for each in stored:
        if each.filter_mask >> filters.index(h5py.h5z.FILTER_DEFLATE) & 1:
            continue  # this one was not worth packing
        _, packed = item.id.read_direct_chunk(each.chunk_offset)
        if len(zlib.decompressobj().decompress(packed, most + 1)) > most:
            raise ValueError(f"'{item.name}' unpacks to more than it says")


def _convert(
    link: chainer.Link, weight: str, array: Array, flattened: tuple[int, int, int] | None
) -> tuple[str, Array]:
    """Give a weight its name and layout in Chainer; without a rule for it, leave it unchanged."""
    names = _BATCH_NORMALIZATION if isinstance(link, L.BatchNormalization) else _OTHER
    name = names.get(weight, weight)
    if isinstance(link, L.Convolution2D) and array.ndim == 4:
        array = array.transpose((2, 3, 0, 1) if link.groups > 1 else (3, 2, 0, 1))
    elif isinstance(link, L.Linear) and array.ndim == 2:
        if flattened and np.prod(flattened) == len(array):
            channels, height, width = flattened
            array = array.reshape(height, width, channels, -1).transpose(2, 0, 1, 3)
            array = array.reshape(channels * height * width, -1)
        array = array.T
    return name, array
