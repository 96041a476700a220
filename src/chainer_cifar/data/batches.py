"""Send the images to the device once, as one array; gather and augment batches there."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import chainer
import numpy as np
from chainer.dataset import converter
from numpy.typing import NDArray

from chainer_cifar.arrays import Array
from chainer_cifar.data.augment import Augment, Batch
from chainer_cifar.data.normalize import Normalization
from chainer_cifar.errors import UserError

_PART = 25_000_000  # bytes to send at a time

Index: TypeAlias = Sequence[int] | NDArray[np.integer[Any]]  # which images, ``(B,)``


class DeviceImages:
    """Images and labels that lie on a device.

    Args:
        images: float32 or uint8 ``(N, C, H, W)``; on a CPU they may be mapped into memory.
        labels: int32 ``(N,)``.
        device: Where to put them.
        normalization: What to do to each batch after augmentation.
    """

    def __init__(
        self,
        images: Array,
        labels: Array,
        device: chainer.backend.Device,
        normalization: Normalization,
    ) -> None:
        self.xp = device.xp
        self.normalization = normalization
        self.images = _send(images, device)
        self.labels: Array = device.send(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Index) -> tuple[Array, Array]:
        """Return images ``(B, C, H, W)``, float32 and not normalized yet, and their labels."""
        places = self.xp.asarray(np.asarray(index))
        return self.images[places].astype(np.float32, copy=False), self.labels[places]

    def batches(self, index: Index, batch_size: int) -> Iterator[tuple[Array, Array]]:
        """Yield `batch_size` images at a time, normalized, in the order of `index`, and labels."""
        for start in range(0, len(index), batch_size):
            x, t = self.take(index[start : start + batch_size])
            yield self.normalization(self.xp, x), t

    def augmenting_converter(
        self,
        augment: Augment,
        part: slice = slice(None),
        dtype: type[np.floating[Any]] = np.float32,
    ) -> Callable[..., tuple[Array, Array]]:
        """Make a Chainer converter from what `training_iterator` gives to images and labels.

        The images are augmented and normalized; the labels are those of `augment.create`. Of each
        mini-batch it gives only a `part`, that of this process. Images get the `dtype`.
        """

        @converter()
        def convert(
            examples: Sequence[tuple[int, int]], device: chainer.backend.Device
        ) -> tuple[Array, Array]:
            x, t = augment(self.xp, self.batch(examples), np.random, part)
            return self.normalization(self.xp, x).astype(dtype, copy=False), t

        return convert

    def batch(self, examples: Sequence[tuple[int, int]]) -> Batch:
        """The `Batch` of some ``(index, epoch)``, as a step of `training_iterator` gives them."""
        index, epoch = np.asarray(examples).T
        return Batch(*self.take(index), index, epoch)


def _send(images: Array, device: chainer.backend.Device) -> Array:
    if device.xp is np:
        return images
    # In parts: CuPy sends through page-locked memory and keeps as much as the largest part took.
    on_device: Array = device.xp.empty(images.shape, images.dtype)
    step = max(1, _PART // images[0].nbytes) if len(images) else 1
    for start in range(0, len(images), step):
        on_device[start : start + step] = device.send(images[start : start + step])
    return on_device


def training_iterator(
    index: Index, batch_size: int, labels: Array | None = None
) -> chainer.iterators.SerialIterator:
    """Make an iterator over shuffled `index`, which draws each epoch's order from NumPy's state.

    A mini-batch is a list of ``(index, epoch)``. Epochs count from 0, and the mini-batch that ends
    one epoch may begin the next. With `labels`, integers of all images, an epoch has as many images
    of every class; see `BalancedOrder`.
    """
    if batch_size > len(index):
        example = 1 << min(32, len(index)).bit_length() - 1  # a power of 2
        raise UserError(
            f'{batch_size}: there are only {len(index)} training images; give at most that, as in '
            f'-b {example}'
        )
    order = None if labels is None else BalancedOrder(labels[index])
    return _EpochIterator(index, batch_size, order_sampler=order)


class _EpochIterator(chainer.iterators.SerialIterator):
    def __next__(self) -> list[tuple[int, int]]:
        count = len(self.dataset)
        given = self.epoch * count + self.current_position  # images before this mini-batch
        index = super().__next__()
        return [(image, (given + i) // count) for i, image in enumerate(index)]

    next = __next__

    def may_have(self, order: Array) -> bool:
        """Say whether an epoch can have these places of images in this order."""
        count = len(self.dataset)
        if order.shape != (count,) or order.dtype.kind not in 'iu':
            return False
        if order.min() < 0 or order.max() >= count:
            return False
        times = np.bincount(order, minlength=count)
        sampler = self.order_sampler
        once = bool((times == 1).all())
        return sampler.may_have(times) if isinstance(sampler, BalancedOrder) else once


class BalancedOrder:
    """Draw an epoch's order so that the classes are equally often in it, for SerialIterator.

    An epoch has as many images as there are. Those of a rare class come several times in it, each
    nearly as often as the others of its class; of a frequent one some do not come.

    Args:
        labels: Integers ``(N,)``.
    """

    def __init__(self, labels: Array) -> None:
        self.of_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        self.n = len(labels)

    def __call__(self, order: Array, position: int) -> NDArray[np.intp]:
        """Return the places of the images of the next epoch; the arguments are Chainer's."""
        share, rest = divmod(self.n, len(self.of_class))
        # By lot, which classes have one more where they do not divide the number.
        quotas = share + (np.random.permutation(len(self.of_class)) < rest)
        drawn = [_drawn(places, n) for places, n in zip(self.of_class, quotas, strict=True)]
        return np.random.permutation(np.concatenate(drawn))

    def may_have(self, times: NDArray[np.intp]) -> bool:
        """Say whether an epoch can have each image so many times, ``(N,)``."""
        share, rest = divmod(self.n, len(self.of_class))
        more = [times[places].sum() - share for places in self.of_class]
        even = all(np.ptp(times[places]) <= 1 for places in self.of_class)
        return even and min(more) >= 0 and max(more) <= 1 and sum(more) == rest


def _drawn(places: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    rounds = [np.random.permutation(places) for _ in range(1 + n // len(places))]
    return np.concatenate(rounds)[:n]
