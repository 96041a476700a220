"""Let the memory of a pooling by cuDNN go as soon as its step is done.

Chainer's function keeps the object that calls cuDNN, which keeps the function. Python frees such a
circle only now and then, and with it the maps of many steps: on a GPU that is memory which a larger
batch could have.
"""

from typing import Any

from chainer.functions.pooling import pooling_nd

from chainer_cifar.arrays import Array


def mend() -> None:
    """Replace two methods of Chainer's pooling functions by ones with the same results."""
    pooling_nd._PoolingND.forward_cudnn = _forward
    pooling_nd._PoolingND.backward_cudnn = _backward


def _forward(function: Any, x: tuple[Array]) -> tuple[Array]:
    function._cudnn_pool = True  # Chainer asks only whether it is None
    return pooling_nd._CudnnPoolingNDImpl(function).forward(x)


def _backward(function: Any, gy: tuple[Array]) -> tuple[Array]:
    # What the way back needs is in the function; the object of the way there held nothing else.
    return pooling_nd._CudnnPoolingNDImpl(function).backward(gy)
