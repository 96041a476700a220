import gc
import weakref

import numpy as np
import pytest

from chainer_onednn import dnnl

BLOCK = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize(
    'array',
    [BLOCK, BLOCK[1:, 2], BLOCK[::-1], BLOCK.T, BLOCK[2:2], BLOCK.view(Subclass), np.array(1.0)],
)
def test_address(array):
    assert dnnl.address(array) == array.ctypes.data
    assert dnnl._pointer_by_protocol(array).value == array.ctypes.data


def test_what_is_unsupported_is_refused_again_and_keeps_nothing():
    calls = []

    @dnnl.cached
    def create(size):
        calls.append(size)
        raise dnnl.Unsupported('no such size')

    def ask():
        block = np.zeros(3)  # in the frame of who asks, as the inputs of a convolution are
        with pytest.raises(dnnl.Unsupported, match='no such size'):
            create(5)
        return weakref.ref(block)

    dnnl.forget()
    kept = [ask() for _ in range(3)]
    gc.collect()
    assert calls == [5] and [block() for block in kept] == [None] * 3
