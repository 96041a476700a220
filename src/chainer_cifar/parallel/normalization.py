"""Normalization over the mini-batch of all processes.

Weight normalization sets its parameters by the first mini-batch, and always by the whole one. Batch
normalization does so with ``--sync_bn``. ChainerMN has a link for it (MultiNodeBatchNormalization),
whose exchange we use on GPUs. On CPUs its variance, the mean of the squares less the square of the
mean in float32, loses digits; its running variance is corrected for the images of one process only,
and begins at 0, not 1. So the exchange here is ours, in float64, and the links stay Chainer's own:
their parameters and running statistics have the same names, and what a run saves is what one
process saves.
"""

import functools
from typing import Any

import chainer
import chainer.links as L
import numpy as np
from chainer.functions.normalization import batch_normalization as chainers

from chainer_cifar.arrays import Array
from chainer_cifar.parallel import world


def begin_alike(net: chainer.Chain) -> None:
    """Let links whose parameters are set by the first mini-batch see the images of all processes.

    Such a link has an attribute `over_all`; see `WeightNormalizedConvolution2D`.
    """
    for link in net.links():
        if world.current.size > 1 and hasattr(link, 'over_all'):
            link.over_all = _over_all


def _over_all(means: Array) -> Array:
    found = world.current.mean(means.tolist())
    return chainer.backend.get_array_module(means).asarray(found, means.dtype)


def synchronize(net: chainer.Chain) -> int:
    """Let each batch normalization in `net` see the images of all processes.

    Returns:
        How many there are.
    """
    found = [link for link in net.links() if type(link) is L.BatchNormalization]
    if world.current.size > 1:
        for link in found:
            link.__class__ = SyncBatchNormalization
    return len(found)


class SyncBatchNormalization(L.BatchNormalization):
    """Do as Chainer's link, with mean and variance over all processes in training."""

    def forward(self, x: Any, **kwargs: Any) -> chainer.Variable:
        if not chainer.config.train:
            return super().forward(x, **kwargs)
        gamma = self._get_gamma()[0] if self.gamma is None else self.gamma
        beta = self._get_beta()[0] if self.beta is None else self.beta
        function = chainers.BatchNormalization(
            self.eps, None, None, self.decay, self.axis, impl_selector=_implementation
        )
        (y,) = function.apply((x, gamma, beta))
        count = x.size // self.avg_mean.size * world.current.size
        for running, found in (
            (self.avg_mean, function.mean),
            (self.avg_var, function.var * (count / max(count - 1, 1))),
        ):
            running *= self.decay
            running += (1 - self.decay) * found
        return y


def _implementation(function: Any, inputs: Any) -> Any:
    communicator = world.current.communicator
    if isinstance(inputs[0], np.ndarray):
        return _OnHost(communicator)
    from chainermn.functions import batch_normalization as chainermns

    return _in_full_range(chainermns._NcclImpl)(communicator)


@functools.cache
def _in_full_range(impl: Any) -> Any:
    """Make a subclass of an implementation of ChainerMN whose variance is finite and not negative.

    ChainerMN squares in the type of `x`. In float16 that overflows from 256 on; the variance is
    infinite then, and the channel 0. It takes the square of the mean from the mean of the squares,
    which by rounding may give less than 0.
    """

    class InFullRange(impl):
        def get_mean_and_var(
            self, axis: Any, gamma: Array, x: Array, xp: Any, interm_dtype: Any
        ) -> tuple[Array, Array]:
            # A copy of float16 and its square take four bytes a number each, where the square
            # alone took two; both are free again after this layer's mean and variance.
            wide = x.astype(interm_dtype, copy=False)
            mean, var = super().get_mean_and_var(axis, gamma, wide, xp, interm_dtype)
            return mean, xp.maximum(var, 0)

    return InFullRange


class _OnHost(chainers.GeneralBatchNormalizationImpl):
    """The arithmetic of one call."""

    def __init__(self, communicator: Any) -> None:
        self.communicator = communicator

    def get_mean_and_var(
        self, axis: Any, gamma: Array, x: Array, xp: Any, interm_dtype: Any
    ) -> tuple[Array, Array]:
        # In float64, as NumPy's sums over such axes lose digits otherwise.
        wide = x.astype(np.float64)
        square = np.square(wide).mean(axis=axis)
        mean, square = self._mean_of_all(wide.mean(axis=axis), square)
        return mean.astype(interm_dtype), (square - mean**2).clip(0).astype(interm_dtype)

    def get_ggamma_and_gbeta(
        self, axis: Any, gamma: Array, gy: Array, x_hat: Array, xp: Any
    ) -> tuple[Array, Array]:
        # Of means over the processes, since the losses are averaged, too.
        gbeta = gy.sum(axis=axis, dtype=np.float64)
        ggamma = (gy * x_hat).sum(axis=axis, dtype=np.float64)
        gbeta, ggamma = self._mean_of_all(gbeta, ggamma)
        return gbeta.astype(gamma.dtype), ggamma.astype(gamma.dtype)

    def _mean_of_all(self, *vectors: Array) -> Array:
        from mpi4py import MPI

        table = np.stack(vectors).astype(np.float64)
        self.communicator.mpi_comm.Allreduce(MPI.IN_PLACE, table)
        return table / self.communicator.size
