"""What tests of images on a device share, whether it is a GPU or the stand-in for one."""

import numpy as np

from chainer_cifar.data import batches
from chainer_cifar.data.normalize import Normalization

NORMALIZATION = Normalization((1, 2, 3), (2, 4, 8))
MANY = 2001  # one more than are sent at a time


def assert_taken_in_order(images, device):
    """Images, float32 ``(MANY, 3, 32, 32)``, come from a device as they were, and normalized."""
    labels = np.arange(MANY, dtype=np.int32)
    data = batches.DeviceImages(images, labels, device, NORMALIZATION)
    np.testing.assert_array_equal(data.images.get(), images)
    x, t = data.take([2000, 5])
    np.testing.assert_array_equal(x.get(), images[[2000, 5]])
    assert t.get().tolist() == [2000, 5]
    ((x, _),) = data.batches([7], 2)
    wanted = (images[7].reshape(3, 1024) - [[1], [2], [3]]) / [[2], [4], [8]]
    np.testing.assert_allclose(x.get().reshape(3, 1024), wanted, rtol=1e-5)
