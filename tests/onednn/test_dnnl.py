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
