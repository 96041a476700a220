"""Chainer on a CPU, through oneDNN: the same nets, the same numbers, several times as fast.

    import chainer_onednn
    chainer_onednn.enable()

That is all: from here on Chainer's functions, links and optimizers do their float32 work on NumPy
arrays by oneDNN (https://github.com/oneapi-src/oneDNN). Nets need no change. `disable` gives
Chainer its own code back. Both last for a block, too: ``with chainer_onednn.enable():``.
``python -m chainer_onednn`` says what was found and how fast it is.

Images keep the shape ``(N, C, H, W)`` but lie in memory as ``(N, H, W, C)``, the order that oneDNN
is fastest on. They are ordinary ndarrays, so everything else works on them, and arrays of any other
order are taken too.

Done by oneDNN, forward and backward: Convolution2D and Deconvolution2D (any stride, padding,
dilation, groups), BatchNormalization, max and average pooling, ReLU, Linear, Dropout (with NumPy's
random numbers), Add, and the sums of gradients; forward only: FixedBatchNormalization, Concat, Pad.
The updates of MomentumSGD, NesterovAG and Adam, with WeightDecay, are one call of a kernel for all
parameters (see `updates`). Everything else, other dtypes, GPUs, and what oneDNN does not support
are left to Chainer's own code. GELU, which Chainer lacks, is done where a function of another
package says that it is one (see `gelu`).

Convolutions of 3x3 and 5x5 filters are computed by Winograd's algorithm where that is faster; how
exact that is, and how far a number that is not finite spreads, is said in `winograd`.
``enable(winograd=False)`` does without.

Two things are for the whole process: NumPy's BLAS is held to one thread while the engine is enabled
(see `threads.quiet_blas`), and glibc keeps freed memory, in huge pages (see `memory`), also
afterwards.

One habit that Chainer forgives is not safe here: to change an intermediate array in place, as in
``h.array[...] = 0`` (to give the variable another array, ``h.array = …``, is safe). What a function
gave may be computed when it is looked at first, from its inputs of then (see `pending`); a batch
normalization may use the mean and variance that the convolution before it found (see `moments`);
and the gradient of a ReLU behind a batch normalization is masked by what the normalization gave.

Environment variables: ``CHAINER_ONEDNN=0`` switches the package off; ``CHAINER_ONEDNN_WINOGRAD=0``
leaves all convolutions direct; ``CHAINER_ONEDNN_KERNELS=0`` does without the compiled kernels (see
`kernels`); ``OMP_NUM_THREADS`` is the number of threads; ``CHAINER_ONEDNN_LIBRARY`` is the path of
another build of oneDNN 3.
"""

import chainer_compat  # noqa: F401 - lets Chainer import on a NumPy of today
from chainer_onednn.switch import describe, disable, enable, is_enabled

__all__ = ['describe', 'disable', 'enable', 'is_enabled']
