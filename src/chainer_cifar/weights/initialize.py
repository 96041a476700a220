"""Start a net from the weights in a file: load those with a fitting name and shape."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping

import chainer
import numpy as np

from chainer_cifar import nets, runs
from chainer_cifar.arrays import Array
from chainer_cifar.errors import UserError
from chainer_cifar.files import open_bytes
from chainer_cifar.streams import printable
from chainer_cifar.weights import keras_h5, npz
from chainer_cifar.weights.pretrained import PRETRAINED, Pretrained

IMAGENET = 'imagenet'

# The kinds of NumPy's dtypes that can hold what a net has: weights, flags and counts, by its kind.
_KINDS = {'f': 'f', 'b': 'b', 'i': 'iu'}


@dataclasses.dataclass(frozen=True)
class Report:
    """What `initialize` did.

    Attributes:
        source: The file.
        loaded: Names of the net's arrays that came from it, such as ``conv1/W``.
        missing: Names of the net's arrays that keep their initial values.
        summed: Those of them whose filters for three colours became filters for grey.
        skipped: Why an array of the file was not loaded, by its name there.
        values: How many numbers were loaded.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    summed: tuple[str, ...]
    skipped: dict[str, str]
    values: int

    def __str__(self) -> str:
        """Tell in a line each what was loaded, what was skipped and what is missing."""
        n_array = len(self.loaded) + len(self.missing)
        lines = [
            f'loaded {len(self.loaded)} of {n_array} arrays ({self.values:,} values) '
            f'from {printable(self.source)}'
        ]
        if self.summed:
            lines.append(f'summed over the colours, for grey images: {_few(self.summed)}')
        if self.skipped:
            reasons = [printable(f'{name} ({reason})') for name, reason in self.skipped.items()]
            lines.append(f'skipped: {_few(reasons)}')
        if self.missing:
            lines.append(f'missing (keeps its initial values): {_few(self.missing)}')
        return '\n'.join(lines)


def initialize(net: chainer.Chain, source: str | os.PathLike[str]) -> Report:
    """Load into `net` the arrays in `source` that have the right name and shape.

    A classifier for another number of classes does not fit, so it keeps its initial values. If the
    net is for grey images and the weights are for colour, the first filters are summed over it.
    Of a link with an attribute ``needs = {'g': ('V',)}``, g is loaded only together with V.

    Args:
        net: One of `chainer_cifar.nets`, on any device.
        source: Weights or a snapshot of ours (npz), a run (see `runs.find_weights`), weights of
            Keras (h5; see `keras_h5.read`), or the word ``imagenet`` (see `PRETRAINED`).

    Raises:
        UserError: The file is missing or damaged, holds NaN or infinity, or nothing in it fits.
    """
    if str(source) == IMAGENET:
        arrays, source = _pretrained(net).read()
    else:
        source = runs.find_weights(source)
        arrays = _read(net, source)
    of_net = chainer.serializers.DictionarySerializer()
    of_net.save(net)
    wanted: dict[str, Array] = of_net.target
    fitting: dict[str, Array] = {}
    summed: list[str] = []
    skipped: dict[str, str] = {}
    for name in sorted(arrays):  # Chainer's files have no order
        array, ours = arrays[name], wanted.get(name)
        if _is_for_colours(array, ours):
            # A grey image in colour, three times the same, gives the same with these.
            array = array.sum(axis=1, keepdims=True)
            summed.append(name)
            arrays = {**arrays, **_rescaled(name, arrays, array)}
        if ours is None:
            skipped[name] = 'not in the net'
        elif reason := _misfit(array, ours):
            skipped[name] = reason
        else:
            with np.errstate(over='ignore'):  # a float64 may be beyond float32; see next
                fitting[name] = np.asarray(array, ours.dtype, order='C')
            if not np.isfinite(fitting[name]).all():
                raise UserError(f'{source}: {name} holds NaN or infinity; choose another file')
    skipped |= _incomplete(net, set(fitting))
    fitting = {name: array for name, array in fitting.items() if name not in skipped}
    # The scalars of a net are no weights, but tell of them: batches counted, initialized.
    weights = [name for name, array in wanted.items() if array.ndim]
    loaded = tuple(name for name in fitting if wanted[name].ndim)
    if not loaded:
        raise UserError(
            f'{source}: nothing in it fits the net; it has {_few(arrays) or "no arrays"}, '
            f'the net has {_few(weights)}'
        )
    chainer.serializers.NpzDeserializer(fitting, strict=False).load(net)
    return Report(
        source=str(source),
        loaded=loaded,
        missing=tuple(sorted(set(weights) - set(loaded))),
        summed=tuple(summed),
        skipped=skipped,
        values=sum(fitting[name].size for name in loaded),
    )


def _pretrained(net: chainer.Chain) -> Pretrained:
    try:
        return PRETRAINED[type(net)]
    except KeyError:
        names = [name for name, build in nets.registry.items() if build in PRETRAINED]
        raise UserError(
            f'{IMAGENET}: there are such weights for {", ".join(names)} only; '
            f'give a file of weights'
        ) from None


def _read(net: chainer.Chain, path: pathlib.Path) -> dict[str, Array]:
    try:
        with open_bytes(path) as file:
            start = file.read(8)
    except OSError as error:
        raise UserError(
            f'{path}: {error.strerror}; give a run, an npz of ours, an h5 of Keras '
            f"(docs/transfer.md says where MobileNet's is), or the word {IMAGENET}"
        ) from None
    if start.startswith(b'PK'):
        return npz.read(path)
    if start == b'\x89HDF\r\n\x1a\n':
        return keras_h5.read(path, net)
    raise UserError(f'{path}: neither an npz file of ours nor an h5 file of Keras')


def _is_for_colours(array: Array, wanted: Array | None) -> bool:
    """Say whether these are filters of three colours where the net has some for grey."""
    if wanted is None or wanted.ndim != 4 or array.ndim != 4 or array.dtype.kind != 'f':
        return False
    rest = (array.shape[0], *array.shape[2:]) == (wanted.shape[0], *wanted.shape[2:])
    return rest and array.shape[1] == 3 and wanted.shape[1] == 1


def _rescaled(name: str, arrays: Mapping[str, Array], summed: Array) -> dict[str, Array]:
    """The lengths g of weight-normalized filters V, which sums have in place of the V."""
    link, _, own = name.rpartition('/')
    lengths = arrays.get(f'{link}/g')
    if own != 'V' or lengths is None or lengths.shape != (len(summed),):
        return {}
    if lengths.dtype.kind != 'f':  # the caller will tell
        return {}
    before, after = (
        np.sqrt((each.astype(np.float64) ** 2).sum(axis=(1, 2, 3)))
        for each in (arrays[name], summed)
    )
    return {f'{link}/g': lengths * after / np.maximum(before, np.finfo(np.float32).tiny)}


def _misfit(array: Array, wanted: Array) -> str | None:
    """Say why an array cannot be loaded in the place of another; None if it can."""
    if array.shape != wanted.shape:
        return f'{array.shape} in the file, {wanted.shape} in the net'
    if array.dtype.kind not in _KINDS[wanted.dtype.kind]:
        return f'{array.dtype}, not {"floating point" if wanted.ndim else wanted.dtype}'
    if wanted.dtype.kind == 'i' and array.astype(wanted.dtype) < 0:
        return 'negative, not a count'
    return None


def _incomplete(net: chainer.Chain, found: set[str]) -> dict[str, str]:
    """Say which of `found` are of no use, since others of their link are not found, and why."""
    reasons: dict[str, str] = {}
    for path, link in net.namedlinks(skipself=True):
        for own, needed in getattr(link, 'needs', {}).items():
            name, usable = f'{path[1:]}/{own}', found - reasons.keys()
            lacking = [each for each in needed if f'{path[1:]}/{each}' not in usable]
            if name in found and lacking:
                reasons[name] = f'of no use without {" and ".join(lacking)}'
    return reasons


def _few(names: Iterable[str], limit: int = 5) -> str:
    names = list(names)
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + more
